package wal

// Replay delivers the records of a log with an LSN greater than from and leaves the log as it is: another process may be writing it. It returns
// the last LSN that the log accounts for. replay may return ErrStop to end before a record.
//
// What the other process does meanwhile can look like damage, or a missing file. Whoever calls tries again when the log has changed.
func Replay(opts Options, from uint64, replay func(lsn uint64, payload []byte) error) (found uint64, err error) {
	opts.ReadOnly = true
	opts, err = opts.withDefaults()
	if err != nil {
		return 0, err
	}
	r := recoverer{opts: opts, from: from, replay: replay}
	if err := r.run(); err != nil {
		return 0, err
	}
	return r.rec.foundLSN(), nil
}
