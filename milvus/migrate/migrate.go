package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"google.golang.org/protobuf/proto"
)

// Options say what is copied and how. The zero value copies every collection of the default database.
type Options struct {
	Database    string   // of both sides
	Collections []string // empty: all
	Batch       int      // rows of one request, up to 16,384. Default 1,000
	Rate        int      // rows written a second, 0: as many as can be
	Position    string   // a file that keeps how far the copy is; empty: none, and it cannot be resumed
	Verify      bool     // write nothing, count what differs
	Progress    func(Progress)
}

// Progress tells how far a pass is in one partition.
type Progress struct {
	Collection, Partition string
	Read, Total           int64 // rows of the source; Total is of the collection
}

// Report counts what a pass did, or would have done.
type Report struct {
	Collections int
	Read        int64 // rows of the source
	Upserted    int64 // rows that were missing or other in the target
	Deleted     int64 // rows that were too many in the target
}

// Different tells whether the sides differed.
func (r Report) Different() bool { return r.Upserted > 0 || r.Deleted > 0 }

// Run makes one pass over the collections.
//
// The position is written after each batch that the target acknowledged. A pass that was ended anywhere repeats at most one batch when it
// is run again with the same file, which changes nothing. When the pass is done, the file is removed.
func Run(ctx context.Context, from, to milvuspb.MilvusServiceClient, o Options) (Report, error) {
	if o.Batch <= 0 {
		o.Batch = 1000
	}
	o.Batch = min(o.Batch, 16384)
	p := &pass{from: from, to: to, o: o}
	if err := p.resume(); err != nil {
		return Report{}, err
	}
	names := o.Collections
	if len(names) == 0 {
		list, err := from.ShowCollections(ctx, &milvuspb.ShowCollectionsRequest{DbName: o.Database})
		if err := check(list.GetStatus(), err); err != nil {
			return Report{}, fmt.Errorf("list the source's collections: %w", err)
		}
		names = list.GetCollectionNames()
	}
	for _, name := range names {
		if err := p.collection(ctx, name); err != nil {
			return p.report, fmt.Errorf("collection %q: %w", name, err)
		}
		p.report.Collections++
	}
	if o.Position != "" {
		if err := os.Remove(o.Position); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return p.report, err
		}
	}
	return p.report, nil
}

// check makes an error of what a call answered.
func check(s *commonpb.Status, err error) error {
	switch {
	case err != nil:
		return err
	case s.GetCode() != 0 || s.GetErrorCode() != commonpb.ErrorCode_Success:
		return fmt.Errorf("code %d: %s", s.GetCode(), s.GetReason())
	}
	return nil
}

// pass is one Run.
type pass struct {
	from, to milvuspb.MilvusServiceClient
	o        Options
	report   Report
	places   map[string]place // by collection and partition
	started  time.Time
	written  int64
}

// place is how far a partition is.
type place struct {
	Done bool   `json:"done,omitempty"`
	Int  int64  `json:"int,omitempty"` // the last key that is equal on both sides
	Str  string `json:"str,omitempty"`
	Read int64  `json:"read"`
}

func (p *pass) resume() error {
	p.places = map[string]place{}
	if p.o.Position == "" {
		return nil
	}
	b, err := os.ReadFile(p.o.Position)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, &p.places)
	}
	if err != nil {
		return fmt.Errorf("position file %s: %w", p.o.Position, err)
	}
	return nil
}

// keep writes the position, under another name first.
func (p *pass) keep(id string, at place) error {
	p.places[id] = at
	if p.o.Position == "" || p.o.Verify {
		return nil
	}
	b, err := json.Marshal(p.places)
	if err != nil {
		return err
	}
	next := p.o.Position + ".next"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, p.o.Position)
}

func (p *pass) collection(ctx context.Context, name string) error {
	d, err := p.from.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{DbName: p.o.Database, CollectionName: name})
	if err := check(d.GetStatus(), err); err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	primary, keyed := keyField{}, false
	for _, f := range d.GetSchema().GetFields() {
		if f.GetIsPrimaryKey() {
			primary = keyField{f.GetName(), f.GetDataType() == schemapb.DataType_VarChar}
		}
		keyed = keyed || f.GetIsPartitionKey()
	}
	partitions := []string{""}
	if !keyed {
		list, err := p.from.ShowPartitions(ctx, &milvuspb.ShowPartitionsRequest{DbName: p.o.Database, CollectionName: name})
		if err := check(list.GetStatus(), err); err != nil {
			return fmt.Errorf("list partitions: %w", err)
		}
		partitions = list.GetPartitionNames()
	}
	if !p.o.Verify {
		if err := p.prepare(ctx, d, partitions); err != nil {
			return fmt.Errorf("prepare the target: %w", err)
		}
	}
	total, err := p.count(ctx, name)
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	for _, part := range partitions {
		if err := p.partition(ctx, name, part, primary, total); err != nil {
			return fmt.Errorf("partition %q: %w", part, err)
		}
	}
	return nil
}

func (p *pass) count(ctx context.Context, name string) (int64, error) {
	a, err := p.from.Query(ctx, &milvuspb.QueryRequest{DbName: p.o.Database, CollectionName: name, OutputFields: []string{"count(*)"}})
	if err := check(a.GetStatus(), err); err != nil {
		return 0, err
	}
	if len(a.GetFieldsData()) == 1 && len(a.GetFieldsData()[0].GetScalars().GetLongData().GetData()) == 1 {
		return a.GetFieldsData()[0].GetScalars().GetLongData().GetData()[0], nil
	}
	return 0, errors.New("count(*) was not answered with a number")
}

// prepare makes the collection, its partitions and indexes in the target, and loads it. What is there already is left.
func (p *pass) prepare(ctx context.Context, d *milvuspb.DescribeCollectionResponse, partitions []string) error {
	s := proto.Clone(d.GetSchema()).(*schemapb.CollectionSchema)
	properties := d.GetProperties()
	s.DbName, s.Properties, s.AutoID = "", nil, false
	keyed := false
	for _, f := range s.GetFields() {
		f.FieldID = 0
		f.IsFunctionOutput = false // the functions say so
		keyed = keyed || f.GetIsPartitionKey()
		if f.GetAutoID() { // the copy keeps the keys
			properties = append(properties, &commonpb.KeyValuePair{Key: "allow_insert_auto_id", Value: "true"})
		}
	}
	for _, fn := range s.GetFunctions() {
		fn.Id, fn.InputFieldIds, fn.OutputFieldIds = 0, nil, nil
	}
	raw, err := proto.Marshal(s)
	if err != nil {
		return err
	}
	create := &milvuspb.CreateCollectionRequest{
		DbName: p.o.Database, CollectionName: d.GetCollectionName(), Schema: raw, ShardsNum: d.GetShardsNum(), ConsistencyLevel: d.GetConsistencyLevel(), Properties: properties,
	}
	if keyed {
		create.NumPartitions = d.GetNumPartitions()
	}
	if err := check(p.to.CreateCollection(ctx, create)); err != nil {
		return err
	}
	for _, part := range partitions {
		if part == "" || part == "_default" {
			continue
		}
		if err := check(p.to.CreatePartition(ctx, &milvuspb.CreatePartitionRequest{DbName: p.o.Database, CollectionName: d.GetCollectionName(), PartitionName: part})); err != nil {
			return err
		}
	}
	list, err := p.from.DescribeIndex(ctx, &milvuspb.DescribeIndexRequest{DbName: p.o.Database, CollectionName: d.GetCollectionName()})
	if err != nil {
		return err
	}
	if code := list.GetStatus().GetCode(); code != 0 && code != 700 { // 700: there is none
		return check(list.GetStatus(), nil)
	}
	for _, x := range list.GetIndexDescriptions() {
		var params []*commonpb.KeyValuePair
		for _, kv := range x.GetParams() {
			if !strings.HasPrefix(kv.GetKey(), "selkie.") {
				params = append(params, kv)
			}
		}
		if err := check(p.to.CreateIndex(ctx, &milvuspb.CreateIndexRequest{
			DbName: p.o.Database, CollectionName: d.GetCollectionName(), FieldName: x.GetFieldName(), IndexName: x.GetIndexName(), ExtraParams: params,
		})); err != nil {
			return err
		}
	}
	return check(p.to.LoadCollection(ctx, &milvuspb.LoadCollectionRequest{DbName: p.o.Database, CollectionName: d.GetCollectionName(), ReplicaNumber: 1}))
}
