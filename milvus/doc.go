// Package milvus serves Milvus's gRPC protocol, milvus.proto.milvus.MilvusService, from an engine: programs and SDKs that speak to a
// Milvus server use a Selkie store without a change, within the process or by a port.
//
//	eng, err := engine.Open("data", nil)
//	srv, err := milvus.New(eng, nil)
//	inside := srv.ServeInProcess()       // no port: inside.Conn, or inside.Dialer for an SDK
//	defer inside.Close()
//
//	listener, err := net.Listen("tcp", "127.0.0.1:19530")
//	err = srv.NewGRPC().Serve(listener)  // or by a port
//
// docs/milvus.md lists what is answered, and what is not: that is Unimplemented.
//
// # What is Milvus's and what is Selkie's
//
//   - Flush covers each collection named, answers when it is done, names its segments, and is not throttled.
//   - Statistics (row_count) are the number of live entities in sealed segments, exact at every instant.
//   - Every read sees every write that was answered before it, whatever consistency level is asked for.
//   - A collection is loaded from the beginning. After a release, searches and queries are refused until it is loaded again.
//   - A collection made by the protocol takes duplicate keys, as Milvus does, unless its property selkie.duplicate_keys is "refuse".
//   - Upsert keeps the primary key that is given, also where inserts generate them.
//   - A delete counts the entities that were there.
//
// # Databases, aliases, properties
//
// The engine has none of them. They are rows of the collection _milvus_state of the same store, durable as rows are, and hidden from
// clients. Collections of the default database have their own names in the store; those of another are named _dbN_name, N being the
// database's number.
//
// # Errors
//
// What goes wrong with a call is a status in its answer, with both the code of Milvus and the one that older clients read. Errors of
// gRPC tell of the transport: a message that is too large (ResourceExhausted), a token that is wrong (Unauthenticated), a call that is
// not there (Unimplemented), a fault of the server (Internal).
//
// # Concurrency
//
// A Server is safe for concurrent use. Lock order, outermost first: Server.ddl, state.write, state.mu. The server starts no goroutines;
// gRPC starts its own, and InProcess one, which Close joins.
package milvus
