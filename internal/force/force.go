// Package force lets benchmarks and tests decide what searches decide for themselves otherwise. It is no way to make them quicker.
package force

import "context"

type planKey struct{}

// Plan has searches below ctx go about their filters by a plan of vector/graph.
func Plan(ctx context.Context, plan uint8) context.Context {
	return context.WithValue(ctx, planKey{}, plan)
}

// PlanOf returns the plan that is forced; 0 if none is.
func PlanOf(ctx context.Context) uint8 {
	p, _ := ctx.Value(planKey{}).(uint8)
	return p
}
