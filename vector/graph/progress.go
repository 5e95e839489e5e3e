package graph

import "sync"

// Shares of a build's steps in its time, for Options.Progress. They are rough.
const (
	shareEncode = .04
	shareCarve  = .12
	shareLeaves = .58
	sharePrune  = .12
	shareJoin   = .10
)

// reports is how many times at most a progress is reported.
const reports = 200

// progress counts what a build has done. Workers share it.
type progress struct {
	report func(done, total int)
	total  int
	mu     sync.Mutex // guards what follows, and calls of report
	done   float64    // share of the whole
	said   int
}

func newProgress(o *Options, rows int) *progress {
	return &progress{report: o.Progress, total: rows}
}

// add says that part of the whole, which has share, is done.
func (p *progress) add(share float64, part, whole int) {
	if p == nil || p.report == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += share * float64(part) / float64(whole)
	// The end is finish's to say.
	if done := min(int(p.done*float64(p.total)), p.total-1); done-p.said > p.total/reports {
		p.said = done
		p.report(done, p.total)
	}
}

// finish says that all is done.
func (p *progress) finish() {
	if p != nil && p.report != nil {
		p.report(p.total, p.total)
	}
}
