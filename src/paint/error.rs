use thiserror::Error;

/// Why a picture could not be painted. Every message says what was wrong, on what, and what to do.
#[derive(Debug, Error)]
pub enum PaintError {
    /// A frame without pixels, or larger than [`super::MAX_SIDE`].
    #[error("a picture of {width}x{height} cannot be painted: both sides must be 1 to {}", super::MAX_SIDE)]
    Size {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// The number of planes does not belong to the format.
    #[error("{format} has {wanted} planes but {found} were given: pass each plane with its stride")]
    Planes {
        /// The format's name.
        format: &'static str,
        /// How many planes it has.
        wanted: usize,
        /// How many were given.
        found: usize,
    },
    /// A plane is too short, or its stride is less than a line.
    #[error(
        "plane {plane} holds {bytes} bytes at a stride of {stride}, but needs {lines} lines of {line} bytes: \
         pass the whole plane and the stride that the buffer's video meta tells"
    )]
    Plane {
        /// Index of the plane.
        plane: usize,
        /// Bytes given.
        bytes: usize,
        /// Bytes from line to line.
        stride: usize,
        /// Lines needed.
        lines: usize,
        /// Bytes needed in each line.
        line: usize,
    },
    /// Source and destination are not of one kind.
    #[error("source and destination differ in {what}: allocate the destination like the source")]
    Mismatch {
        /// What differs.
        what: &'static str,
    },
    /// The destination has not the size that the panels need.
    #[error(
        "the destination is {width}x{height}, which is no row of panels of {panel_width}x{panel_height}: \
         ask `output_size` for its size"
    )]
    Output {
        /// Destination width in pixels.
        width: usize,
        /// Destination height in pixels.
        height: usize,
        /// Width from panel to panel.
        panel_width: usize,
        /// Height of a panel.
        panel_height: usize,
    },
    /// More maps than panels.
    #[error("{maps} maps do not fit on {panels} panels: ask `output_size` with the number of maps")]
    Panels {
        /// Maps given.
        maps: usize,
        /// Panels that the destination holds for them.
        panels: usize,
    },
    /// A map whose length is not its width times its height, or that is empty or huge.
    #[error(
        "a map of {width}x{height} with {values} values cannot be painted: it needs width x height values, at least one"
    )]
    Map {
        /// Cells per row.
        width: usize,
        /// Rows.
        height: usize,
        /// Values given.
        values: usize,
    },
    /// A region that is empty or not finite.
    #[error("the map's region {region} is empty or not finite: compute it with `Fit::place`")]
    Region {
        /// The region in words.
        region: String,
    },
    /// A pixel aspect ratio or model size that is zero.
    #[error(
        "cannot fit a frame of {frame_width}x{frame_height} (pixel aspect {aspect}) to a model input of {width}x{height}: all must be positive"
    )]
    Fit {
        /// Frame width in pixels.
        frame_width: usize,
        /// Frame height in pixels.
        frame_height: usize,
        /// Width of a pixel over its height.
        aspect: f64,
        /// Model input width.
        width: usize,
        /// Model input height.
        height: usize,
    },
    /// OpenCV refused.
    #[error("OpenCV could not {what}: check that the OpenCV libraries (4.6 or newer) are whole")]
    OpenCv {
        /// What it was asked for.
        what: &'static str,
        /// Its own words.
        #[source]
        source: opencv::Error,
    },
}
