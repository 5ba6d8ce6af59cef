use crate::support::*;
use olake_worker::launch::Launcher;
#[tokio::test]
async fn latency() {
    let stage = Stage::with("date +%s%N > $TMPDIR/t; exit 0");
    let mut v = vec![]; let mut w = vec![];
    for i in 0..60 {
        let l = sync(i);
        let out = stage.output(l.task);
        let _ = &out;
        let t = std::time::Instant::now();
        let mut r = stage.launcher.launch(l).await.unwrap();
        started(&mut r).await;
        v.push(t.elapsed().as_micros());
        told(r).await;
        w.push(t.elapsed().as_micros());
    }
    v.sort(); w.sort();
    println!("started p50 {} p95 {}  ended p50 {}", v[30], v[57], w[30]);
}
