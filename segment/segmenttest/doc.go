// Package segmenttest holds what every segment.View must keep to, as one test that is run against growing and sealed segments alike,
// and the batches of random rows that it and other tests write.
package segmenttest
