package cases

import (
	"strconv"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/result"
)

// backupTasks have a million rows, or all that the set has.
func backupTasks(b *Bench, set *dataset.Set) []task {
	rows := min(1_000_000, set.Rows/1000*1000)
	if b.Quick {
		rows = b.stored(set)
	}
	var all []task
	for _, restore := range []string{"0", "1"} {
		all = append(all, task{
			verb: "backup", params: result.Params{"restore": restore, "rows": strconv.Itoa(rows), "state": "sealed"},
			figure: result.Rate, before: fill, told: []string{"mb_per_s", "write_mb_per_s", "share_of_write"},
		})
	}
	return all
}

func checkpointTasks(b *Bench, set *dataset.Set) []task {
	rows, count := min(1_000_000, set.Rows/1000*1000), 20
	if b.Quick {
		rows, count = b.stored(set), 3
	}
	return []task{{
		verb: "checkpoint", params: result.Params{"rows": strconv.Itoa(rows), "batch": "1000", "state": "sealed"},
		hidden: result.Params{"count": strconv.Itoa(count)}, figure: result.P50, before: fill, durability: "always", told: []string{"inserted"},
	}}
}
