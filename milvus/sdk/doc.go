// Package sdk holds what shows that Milvus's own clients work with a Selkie store: a program written with the official Go SDK that runs
// on either, and tests. It is a module of its own, as the SDK brings some hundred dependencies.
package sdk
