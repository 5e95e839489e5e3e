// Package machine tells what a measurement was made on, and binds the process to cores.
package machine
