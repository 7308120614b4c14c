//! What the allocator says of itself. It counts as it goes, per thread; reading adds that up.

use serde_json::{Value, json};
use tikv_jemalloc_ctl::stats_print::{Options, stats_print};
use tikv_jemalloc_ctl::{arenas, epoch, stats};

/// Memory by how far it is on its way from the kernel to its use. Bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// In use, as asked for.
    pub(crate) allocated: usize,
    /// Of pages that hold something in use.
    pub(crate) active: usize,
    /// The allocator's own records.
    pub(crate) metadata: usize,
    /// Resident at most.
    pub(crate) resident: usize,
    /// Mapped.
    pub(crate) mapped: usize,
    /// Given back in all but name: address space kept for later.
    pub(crate) retained: usize,
}

impl Held {
    /// The figures now.
    pub(crate) fn read() -> Option<Self> {
        let read = || -> Result<Self, tikv_jemalloc_ctl::Error> {
            epoch::advance()?;
            Ok(Self {
                allocated: stats::allocated::read()?,
                active: stats::active::read()?,
                metadata: stats::metadata::read()?,
                resident: stats::resident::read()?,
                mapped: stats::mapped::read()?,
                retained: stats::retained::read()?,
            })
        };
        read().ok()
    }
}

/// The answer of `/v1/profile/heap`: the sums, and the allocator's own report with a line a size class.
pub(crate) fn report() -> Value {
    let mut options = Options::default();
    options.json_format = true;
    options.skip_constants = true;
    options.skip_per_arena = true;
    let mut text = Vec::new();
    let printed = stats_print(&mut text, options);
    let full: Option<Value> = printed.ok().and_then(|()| serde_json::from_slice(&text).ok());
    let held = Held::read().map(|held| {
        json!({
            "allocated_bytes": held.allocated,
            "active_bytes": held.active,
            "metadata_bytes": held.metadata,
            "resident_bytes": held.resident,
            "mapped_bytes": held.mapped,
            "retained_bytes": held.retained,
        })
    });
    json!({
        "allocator": "jemalloc",
        "arenas": arenas::narenas::read().ok(),
        "held": held,
        "what": "statistics of the allocator; call sites of allocations are not recorded in this build",
        "report": full,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_counted() {
        let before = Held::read().unwrap();
        let block = std::hint::black_box(vec![1_u8; 32 << 20]);
        let after = Held::read().unwrap();
        assert!(after.allocated >= before.allocated + (16 << 20), "{before:?} {after:?}");
        assert!(after.allocated <= after.active && after.active <= after.mapped, "{after:?}");
        assert!(report()["report"].is_object());
        drop(block);
    }
}
