package engine_test

func holdStore() {}
