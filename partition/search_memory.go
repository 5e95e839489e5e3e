package partition

// SearchBytes estimates the scratch space of a search in the snapshot: a list of candidates for each query and segment, a row set for each
// segment where there is a filter.
func (s *Snapshot) SearchBytes(queries, k int, filtered bool) (n int64) {
	const hit = 48 // a candidate in its lists, and as the hit it becomes
	for _, v := range s.views {
		rows := int64(v.Rows())
		n += int64(queries) * min(int64(k), rows) * hit
		if filtered {
			n += rows / 8
		}
	}
	return n
}
