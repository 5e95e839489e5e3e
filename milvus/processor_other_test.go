//go:build !unix

package milvus_test

import "time"

var begun = time.Now()

// processorTime is the time that went by, where what the process had of processors is not known.
func processorTime() time.Duration { return time.Since(begun) }
