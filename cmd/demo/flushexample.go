package main

import (
	"context"
	"fmt"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// flushExample is the example of the documentation page on flush().
func flushExample(ctx context.Context, s *screen, eng *engine.Engine) error {
	s.heading(1, "The flush example")

	// Create a collection
	collection, err := eng.CreateCollection(ctx, schema.New("test_collection").With(
		schema.Int64("id").PrimaryKey(),
		schema.FloatVector("vector", 5),
	))
	if err != nil {
		return err
	}

	// Create a partition
	partition, err := collection.CreatePartition(ctx, "test_partition")
	if err != nil {
		return err
	}

	// Insert a list of columns
	if _, err := partition.Insert(ctx,
		column.Int64("id", []int64{0, 1, 2, 3, 4}),
		column.FloatVector("vector", 5, [][]float32{
			{0.1, 0.2, -0.3, -0.4, 0.5},
			{0.3, -0.1, -0.2, -0.6, 0.7},
			{-0.6, -0.3, 0.2, 0.8, 0.7},
			{0.6, 0.2, -0.3, -0.8, 0.5},
			{0.3, 0.1, -0.2, -0.6, -0.7},
		}),
	); err != nil {
		return err
	}
	s.printf("inserted 5 entities   NumEntities -> %d, they are in a growing segment", partition.NumEntities())

	// Flush the data
	receipt, err := partition.Flush(ctx)
	if err != nil {
		return err
	}

	// Check the number of flushed entities in the partition
	n := partition.NumEntities() // 5
	s.printf("flushed in %-10v NumEntities -> %d", receipt.Duration.Round(10_000), n)
	if n != 5 {
		return fmt.Errorf("NumEntities is %d after the flush, want 5", n)
	}
	return nil
}
