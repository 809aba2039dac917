//! Camera to viewer in one: a stream outlives its sources.

use bytes::Bytes;
use fanout::{IntakeConfig, Received, Stream};

use crate::camera::*;
use crate::subscriber::{CONFIG, Viewer};

fn send(stream: &mut Stream, camera: &mut Camera, nals: &[&[u8]]) -> Received {
    let mut total = Received::default();
    for (place, nal) in nals.iter().enumerate() {
        let payloads = if nal.len() > 1_400 {
            fragments(nal, 1_398)
        } else {
            vec![nal.to_vec()]
        };
        let last = payloads.len() - 1;
        for (part, payload) in payloads.iter().enumerate() {
            let marker = place + 1 == nals.len() && part == last;
            let packet = camera.packet(payload, marker);
            let received = stream.receive(camera.now, &packet).unwrap();
            total.units += received.units;
            total.keyframe |= received.keyframe;
        }
    }
    camera.tick();
    total
}

#[test]
fn viewers_go_on_after_a_reconnect_with_continuous_seq_and_growing_time() {
    let mut stream = Stream::new(IntakeConfig::default());
    let mut camera = Camera::new();
    let mut viewer = Viewer::new();
    let first_picture = camera.now;
    let received = send(&mut stream, &mut camera, &[SPS, PPS, &idr(30_000)]);
    assert_eq!(
        received,
        Received {
            units: 1,
            keyframe: true
        }
    );
    send(&mut stream, &mut camera, &[&p(2_000)]);
    viewer.run(camera.now, camera.now + ms(100), stream.ring());
    assert_eq!(viewer.units().len(), 2);

    stream.source_lost();
    let mut camera = Camera {
        now: camera.now + ms(7_920),
        rtp_ts: 55,
        seq: 3,
        ..Camera::new()
    };
    let resumed = camera.now;
    let sets = [Bytes::from_static(SPS), Bytes::from_static(PPS)];
    stream.source_resumed(&track(90_000, Some(96), &sets));
    assert_eq!(
        send(&mut stream, &mut camera, &[&p(2_000)]),
        Received::default()
    );
    send(&mut stream, &mut camera, &[&idr(20_000)]);
    viewer.run(camera.now, camera.now + ms(100), stream.ring());
    viewer.check_seq();
    let units = viewer.units();
    assert_eq!(units.len(), 3);
    assert_eq!(units[2].1[2], idr(20_000));
    let elapsed = resumed + ms(40) - first_picture;
    let ticks = u32::try_from(elapsed.as_millis() * 90).unwrap();
    assert_eq!(units[2].0, CONFIG.first_rtp_ts.wrapping_add(ticks));
    assert_eq!(viewer.counters().units_dropped, 0);
    assert_eq!(stream.timeline().jumps(), 1);
}

#[test]
fn loss_at_the_camera_reaches_viewers_as_missing_pictures_not_broken_ones() {
    let mut stream = Stream::new(IntakeConfig::default());
    let mut camera = Camera::new();
    let mut viewer = Viewer::new();
    for picture in 0..100u32 {
        if picture % 7 == 3 {
            camera.lose(1);
        }
        if picture % 10 == 0 {
            send(&mut stream, &mut camera, &[SPS, PPS, SEI, &idr(9_000)]);
        } else {
            send(&mut stream, &mut camera, &[SEI, &p(2_500)]);
        }
        viewer.run(camera.now, camera.now + ms(39), stream.ring());
    }
    viewer.check_seq();
    let units = viewer.units();
    assert!(units.len() > 20 && units.len() < 100);
    for (_, nals) in units {
        assert!(nals == [p(2_500)] || nals == [SPS.to_vec(), PPS.to_vec(), idr(9_000)]);
    }
    assert!(stream.intake().counters().packets_lost >= 14);
}

#[test]
fn a_change_of_resolution_is_said_and_goes_through() {
    let mut stream = Stream::new(IntakeConfig::default());
    let mut camera = Camera::new();
    send(&mut stream, &mut camera, &[SPS, PPS, &idr(3_000)]);
    let before = stream.intake().video().unwrap();
    send(&mut stream, &mut camera, &[SPS_1080, PPS_1080, &idr(3_000)]);
    let after = stream.intake().video().unwrap();
    assert_eq!((before.width, after.width), (640, 1920));
    assert!(after.generation > before.generation);
    let still = stream.ring().keyframe_annexb().unwrap();
    assert_eq!(wire::h264::annexb_nals(&still).next(), Some(SPS_1080));
}
