// Package system knows the systems that can be measured: how each is started, with which parameters it is built and
// searched, and what is wrong when it is not here.
//
// Parameters are those that a system's own documentation calls good; rivals are given several, and the report takes
// for each recall the best of what they reached.
package system
