//! What is left when a load is over.

use crate::{
    cluster::Logged,
    follow::Seen,
    load::{Load, Tally},
};

/// Says what was counted of `what`, and that all of it is there: each input and edge (acknowledged, lost, doubled) once, the
/// log without gaps, every client with all of it.
pub(crate) fn complete(what: &str, load: &Load, edges: (u64, u64, u64), seen: &[Seen], log: &[Logged]) {
    let Tally { acknowledged, repeated, lost, doubled } = load.compare(log);
    println!(
        "{what}, inputs acknowledged {acknowledged} ({repeated} asked again), lost {lost}, doubled {doubled}; edges \
         acknowledged {}, lost {}, doubled {}; connections of {} clients {}, events {}",
        edges.0,
        edges.1,
        edges.2,
        seen.len(),
        seen.iter().map(|s| s.connections).sum::<u64>(),
        log.len(),
    );
    assert_eq!((lost, doubled, edges.1, edges.2), (0, 0, 0, 0), "{what}");
    assert!(acknowledged > 0 && edges.0 > 0, "people and sensors were heard");
    assert!(log.iter().map(|e| e.seq).eq(1..=log.len() as u64), "the log has no gaps");
    for client in seen {
        client.check(load.head());
    }
}
