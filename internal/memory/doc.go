// Package memory keeps account of the memory of an engine: who holds how much, and who may have more.
//
// Parts of an engine that can wait ask for memory before they use it (Acquire); those that cannot wait say what they hold (Add), and those
// whose memory is counted elsewhere have it noted (Set). With a limit, Acquire waits until what it asks for fits, and has what can be
// given back given back. Without one nobody waits, and the account is still kept.
//
// # Invariants
//
//  1. What Acquire granted and what others hold by then is within the limit.
//  2. Who waits is served in no order, but for this: a query may use the last part of the memory, which builds may not.
//  3. A request that could never be granted, with nobody else there, is refused at once.
package memory
