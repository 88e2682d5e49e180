//! `gradcast explain`: a picture and the same as a tensor give the same maps; the arrays have the
//! documented shapes; a picture comes out painted.

mod common;

use common::cli::{fails, gradcast, succeeds};
use ndarray::{Array1, Array3, Array4};

/// Raw RGB bytes of a picture, scaled by ffmpeg: an independent reader.
fn rgb(path: &std::path::Path, size: usize) -> Vec<u8> {
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-vf", &format!("scale={size}:{size}:flags=area"), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    assert_eq!(output.stdout.len(), size * size * 3, "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_picture_and_its_tensor_give_the_same_maps_and_scores() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let photo = material.join("images/gradcam_both.png");
    let bytes = rgb(&photo, 224);
    let tensor = Array4::from_shape_fn((1, 3, 224, 224), |(_, c, y, x)| {
        (f32::from(bytes[(y * 224 + x) * 3 + c]) - 127.5) / 127.5
    });
    ndarray_npy::write_npy(at("input.npy"), &tensor).unwrap();
    let explain = |input: &std::path::Path, maps: &str, scores: &str| {
        let mut command = gradcast();
        command.arg("explain").arg(input).arg("--model");
        command.arg(material.join("models/mobilenet_v2_1.0_224_fp32.onnx"));
        command.args(["--preprocess", "inception", "--class", "top1,281", "--device", "cpu", "--maps"]);
        command.arg(at(maps)).arg("--scores").arg(at(scores));
        command
    };
    succeeds(explain(&photo, "a.npy", "as.npy").arg("-o").arg(at("heat.png")));
    succeeds(&mut explain(&at("input.npy"), "b.npy", "bs.npy"));
    let read = |name: &str| -> Array3<f32> { ndarray_npy::read_npy(at(name)).unwrap() };
    let (a, b) = (read("a.npy"), read("b.npy"));
    assert_eq!(a.dim(), (2, 7, 7));
    assert_eq!(b.dim(), (2, 7, 7));
    let scores = |name: &str| -> Array1<f32> { ndarray_npy::read_npy(at(name)).unwrap() };
    assert_eq!((scores("as.npy").len(), scores("bs.npy").len()), (1000, 1000));
    // The picture went through 4:2:0 on its way, which takes away some colour detail.
    let (diff, norm) = (&a - &b, b.mapv(|v| v * v).sum().sqrt());
    let relative = diff.mapv(|v| v * v).sum().sqrt() / norm;
    println!("maps differ by {relative:.4} (relative L2)");
    assert!(relative < 0.1, "{relative}");
    assert!(a.iter().chain(&b).all(|v| *v >= 0.0), "maps are after ReLU");

    // Two classes: two panels of the photo's size.
    let painted = image_size(&at("heat.png"));
    assert_eq!(painted, (448, 224));
}

fn image_size(path: &std::path::Path) -> (u32, u32) {
    let output = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (w, h) = text.trim().split_once(',').unwrap();
    (w.parse().unwrap(), h.parse().unwrap())
}

#[test]
fn tensors_that_do_not_fit_are_told_so() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let model = material.join("models/mobilenet_v2_1.0_224_fp32.onnx");
    let wrong = folder.path().join("wrong.npy");
    ndarray_npy::write_npy(&wrong, &Array4::<f32>::zeros((1, 3, 32, 32))).unwrap();
    let explain = |input: &std::path::Path| {
        let mut command = gradcast();
        command.arg("explain").arg(input).arg("--model").arg(&model).args(["--device", "cpu"]);
        command
    };
    let said = fails(&mut explain(&wrong), 3);
    assert!(said.contains("32") && said.contains("224"), "{said}");
    let garbage = folder.path().join("garbage.npy");
    std::fs::write(&garbage, b"not numpy").unwrap();
    fails(&mut explain(&garbage), 3);
    fails(&mut explain(&folder.path().join("nowhere.npy")), 3);
    fails(explain(&wrong).arg("-o").arg(folder.path().join("x.png")), 2);
}
