package engine_test

func runAsChild() bool { return false }
