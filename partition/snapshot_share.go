package partition

import "slices"

// Share returns another hold on the same view, to be released by itself. REQUIRES: s is not released.
func (s *Snapshot) Share() *Snapshot {
	for _, v := range s.pins {
		v.refs.Add(1)
	}
	return &Snapshot{lsn: s.lsn, pins: slices.Clone(s.pins), views: slices.Clone(s.views), parts: slices.Clone(s.parts), now: s.now}
}
