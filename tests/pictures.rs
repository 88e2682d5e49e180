//! Pictures in, pictures out.

mod common;

use common::cli::{fails, gradcast, succeeds};

#[test]
fn photos_are_annotated_as_photos() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("images/gradcam_both.png", "both.png", (224, 224)),
        ("images/coral_cat_720p.jpg", "cat.jpg", (1280, 720)),
        ("images/winml_kitten_224.png", "kitten.jpeg", (224, 224)),
    ];
    for (input, name, size) in cases {
        let out = folder.path().join(name);
        succeeds(gradcast().arg("annotate").arg(material.join(input)).arg("-o").arg(&out).args(["--device", "cpu"]));
        let probe = std::process::Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0"])
            .arg(&out)
            .output()
            .unwrap();
        let text = String::from_utf8(probe.stdout).unwrap();
        assert_eq!(text.trim(), format!("{},{}", size.0, size.1), "{name}");
    }
}

#[test]
fn a_video_does_not_fit_into_a_picture() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.png");
    let clip = material.join("videos/imageio_cockatoo_yuv420.mp4");
    let said = fails(gradcast().arg("annotate").arg(clip).arg("-o").arg(&out).args(["--device", "cpu"]), 2);
    println!("{said}");
    assert!(!out.exists());
}
