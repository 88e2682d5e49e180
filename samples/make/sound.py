"""The clip's sound: a soft chord under everything, a motif for each shape, air when a card turns, chalk on the board."""

import wave

import numpy as np

RATE = 48000


def note(semitones, base=220.0):
    return base * 2 ** (semitones / 12)


def pluck(freq, seconds=1.4):
    """A struck string: a few partials, the high ones dying first."""
    t = np.arange(int(seconds * RATE)) / RATE
    out = sum(np.sin(2 * np.pi * freq * k * t) * np.exp(-t * (2.2 + 1.7 * k)) / k**1.4 for k in range(1, 6))
    return out * np.minimum(1, t / 0.004)


def pad(freqs, seconds):
    """A held chord that breathes."""
    t = np.arange(int(seconds * RATE)) / RATE
    swell = np.minimum(1, np.minimum(t / 0.8, (seconds - t) / 0.8)).clip(0)
    out = sum(np.sin(2 * np.pi * f * d * t + k) for k, f in enumerate(freqs) for d in (0.998, 1.002))
    return out * swell * (1 + 0.15 * np.sin(2 * np.pi * 0.35 * t)) / len(freqs)


def air(rng, seconds):
    """A rush of air, rising and falling."""
    n = int(seconds * RATE)
    x = rng.normal(0, 1, n)
    bright = np.sin(np.linspace(0, np.pi, n)) ** 2
    width = (6 + 60 * (1 - bright)).astype(int)
    c = np.concatenate([[0], np.cumsum(x)])
    i = np.arange(n)
    return (c[np.minimum(n, i + width)] - c[i]) / np.sqrt(width) * bright


def chalk(rng, seconds):
    """Short scratches of chalk."""
    n = int(seconds * RATE)
    x = np.diff(rng.normal(0, 1, n + 1))
    t = np.arange(n) / RATE
    return x * (0.55 + 0.45 * np.sin(2 * np.pi * 5.5 * t + 2 * np.sin(2 * np.pi * 1.3 * t))).clip(0) * np.minimum(1, (seconds - t) / 0.05).clip(0)


def mix(seconds, events):
    """Stereo float64 [n,2] from (start in seconds, mono, gain, pan: a number or one per sample, -1..1)."""
    out = np.zeros((int(seconds * RATE), 2))
    for start, mono, gain, pan in events:
        a = int(start * RATE)
        mono = mono[: max(0, len(out) - a)] * gain
        angle = (np.broadcast_to(pan, len(mono)) + 1) * np.pi / 4 if np.ndim(pan) == 0 else (np.asarray(pan)[: len(mono)] + 1) * np.pi / 4
        out[a : a + len(mono), 0] += mono * np.cos(angle)
        out[a : a + len(mono), 1] += mono * np.sin(angle)
    t = np.arange(len(out)) / RATE
    out *= np.minimum(1, np.minimum(t / 0.3, (seconds - t) / 0.8)).clip(0)[:, None]
    return np.tanh(out / max(1e-9, np.abs(out).max()) * 1.1) * 0.8


def save(path, stereo):
    with wave.open(str(path), "wb") as f:
        f.setnchannels(2)
        f.setsampwidth(2)
        f.setframerate(RATE)
        f.writeframes((stereo.clip(-1, 1) * 32767).astype("<i2").tobytes())
