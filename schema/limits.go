package schema

// The limits are Milvus's, at their widest setting.
const (
	MaxNameLength   = 255               // bytes of a collection, partition, field or index name
	MaxDescription  = 65535             // bytes of a description
	MaxFields       = 64                // fields of a collection, "$meta" not counted
	MaxVectorFields = 10                // of these, vectors
	MaxShards       = 16                // shards of a collection
	MaxPartitions   = 1024              // partitions of a collection, hidden ones included
	MinDim          = 2                 // of every vector but binary and sparse
	MaxDim          = 32768             // of every vector but binary and sparse
	MaxBinaryDim    = 8 * MaxDim        // bits
	MaxVarChar      = 65535             // largest MaxLength, in bytes
	MaxArray        = 4096              // largest MaxCapacity, in elements
	MaxJSON         = 65536             // bytes of one JSON value
	MaxSparseIndex  = uint32(1<<32 - 2) // largest index of a sparse vector
	MaxAutoIDString = 20                // bytes of a generated VarChar key
)

const (
	// FirstFieldID is the id of a collection's first field; smaller ids are the engine's own.
	FirstFieldID = 100
	// RowIDField and TimestampField are the ids of the engine's own columns.
	RowIDField, TimestampField = 0, 1
	// DefaultShards is what Shards 0 stands for.
	DefaultShards = 1
	// DefaultPartitions is what NumPartitions 0 stands for in a schema with a partition key.
	DefaultPartitions = 16
	// MetaName is the name of the field that holds dynamic keys.
	MetaName = "$meta"
	// InsertedName is the name of the field that holds when an entity was inserted.
	InsertedName = "$inserted"
)
