package main

// mutant is a break of the code, and the tests that must notice.
type mutant struct {
	name     string
	file     string // of the store's module
	old, new string // old is there exactly once
	pkg, run string // where the tests are, and which
}

const (
	crashes = "TestCrashAtEveryOperation|TestPowerCutAfterKill"
	pasts   = "TestPast"
)

var mutants = []mutant{
	{
		"no fsync of the log's records", "wal/writer.go",
		"w.syncError(w.cur.f.SyncData())", "w.syncError(nil)",
		"./wal", "TestCrash",
	},
	{
		"no directory sync after a rotation of the log", "wal/writer.go",
		"	if err := l.syncDir(); err != nil {\n		return err\n	}\n	if old != nil {", "	if old != nil {",
		"./wal", "TestCrash",
	},
	{
		"no fsync of a new log file's header", "wal/writer.go",
		"if err := next.f.Sync(); err != nil {", "if err := error(nil); err != nil {",
		"./wal", "TestCrash",
	},
	{
		"no fsync of an edit of the catalogue", "engine/catalogue.go",
		"if err := c.file.SyncData(); err != nil {", "if err := error(nil); err != nil {",
		"./engine", crashes,
	},
	{
		"no fsync of a rewritten catalogue", "engine/catalogue.go",
		"	if err := f.Sync(); err != nil {\n		return errors.Join(err, f.Close(), c.fs.Remove(tmp))\n	}\n", "",
		"./engine", crashes,
	},
	{
		"the store's directory is never synced, after the catalogue's rename neither", "engine/catalogue.go",
		"return errors.Join(d.Sync(), d.Close())", "return d.Close()",
		"./engine", crashes,
	},
	{
		"no sync of a new segment's directories", "segment/sync.go",
		"errs[len(files)+i] = syncDir(fs, dir)", "_, _ = i, dir",
		"./engine", crashes,
	},
	{
		"no fsync of a new segment's tables, nor the one that closing them is", "segment/sync.go",
		"errs[i] = errors.Join(f.Sync(), f.Close())", "_, _ = i, f",
		"./engine", crashes,
	},
	{
		"a sync of the catalogue that failed is forgotten", "engine/catalogue.go",
		"return c.poison(\"syncing the catalogue\", err)", "return err",
		"./engine", "TestFailedSync",
	},
	{
		"no checksum of a log record's bytes", "wal/replay.go",
		"if checksum(payload) != fr.payloadCRC || !", "if !",
		"./wal", "TestEvery",
	},
	{
		"no checksum of a log frame's header", "wal/frame.go",
		"binary.LittleEndian.Uint32(h[frameCRCAt:]) != frameHeaderCRC(h, off)", "h == nil",
		"./wal", "TestEvery|TestFrame",
	},
	{
		"no checksum of a catalogue edit", "engine/catalogue.go",
		"if crc32.Checksum(b[8:catFrameHeader+n], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {", "if false {",
		"./engine", "TestEveryByteFlipped|TestPastDamaged",
	},
	{
		"no checksum of a segment's description", "segment/meta_codec.go",
		"binary.LittleEndian.Uint32(raw) != crc32.Checksum(body, castagnoli) || ", "",
		"./segment", "TestMetaRoundTrip",
	},
	{
		"a merge's edit without the deletes that came meanwhile", "partition/compact.go",
		"		edit.Dead = dead\n", "",
		"./engine", "TestCompact|" + pasts + "|" + crashes,
	},
	{
		"a merge forgets the tombstones that came since its edit", "partition/compact.go",
		"	m.carryOver(at)\n	p.change", "	p.change",
		"./engine", "TestCompactUnderLoad|TestLinearizable|TestReadersBesideEverything|TestEverythingAtOnce",
	},
	{
		"a flush forgets the tombstones that came since its begin", "partition/flush.go",
		"		carryOver(b, at)\n", "",
		"./engine", "TestReadersBesideEverything|TestLinearizable|TestEverythingAtOnce",
	},
	{
		"a flush does not save the tombstones of older segments", "partition/flush.go",
		"			edit.Tombstones = append(edit.Tombstones, TombstoneEdit{s.ID(), rows})\n", "",
		"./engine", pasts + "|" + crashes,
	},
	{
		"a flush does not save how far it came in the log", "partition/flush.go",
		"			edit.Cuts = append(edit.Cuts, Cut{shard, lsn})\n", "			_ = lsn\n",
		"./engine", pasts,
	},
	{
		"replay begins one record early", "partition/write.go",
		"if a.replay == 0 || a.replay > p.shards[0].cut {", "if a.replay == 0 || a.replay >= p.shards[0].cut {",
		"./engine", pasts + "|" + crashes,
	},
	{
		"replay begins one record late", "partition/write.go",
		"a.replay != 0 && a.replay <= p.shards[s].cut", "a.replay != 0 && a.replay <= p.shards[s].cut+1",
		"./engine", pasts + "|" + crashes,
	},
	{
		"the log is cut a record too far", "wal/files.go",
		"if f.lastLSN > lsn {", "if f.lastLSN > lsn+1 {",
		"./wal", "TestTruncate",
	},
	{
		"a merge takes its inputs away before its edit", "partition/compact.go",
		"	if err := p.env.CommitCompaction(ctx, edit); err != nil {\n		return err\n	}\n	m.install(at)\n	return nil",
		"	m.install(at)\n	return p.env.CommitCompaction(ctx, edit)",
		"./engine", crashes + "|TestFaultAtEveryOperation",
	},
	{
		"writes are seen and acknowledged before they are durable", "partition/clock.go",
		"v := min(c.durable, c.applied)", "v := c.applied",
		"./engine", crashes + "|TestFailedSync|TestRefusedByWhatIsDurable",
	},
	{
		"an insert is refused for a row that is not durable", "partition/write.go",
		"if err := e.Clock.WaitContext(ctx, newest); err != nil {", "if err := ctx.Err(); err != nil && newest > 0 {",
		"./engine", "TestRefusedByWhatIsDurable",
	},
	{
		"a sealing segment is not searched", "partition/seal.go",
		"		next.sealing = append(next.sealing, sealing{Growing: g, shard: shard, lsn: last})\n",
		"		_ = sealing{Growing: g, shard: shard, lsn: last}\n",
		"./engine", "TestReadersBesideEverything|" + pasts,
	},
	{
		"garbage is removed that the catalogue names", "engine/recovery.go",
		"return isSegmentName(name) && !known[name]", "return isSegmentName(name)",
		"./engine", pasts,
	},
}
