package onnxio

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

func TestReadKeepsEverything(t *testing.T) {
	want := small()
	want.Domain, want.ModelVersion, want.DocString = proto.String("org.test"), proto.Int64(7), proto.String("a model")
	unknown := protowire.AppendString(protowire.AppendTag(nil, 900, protowire.BytesType), "from the future")
	want.ProtoReflect().SetUnknown(unknown)
	want.Graph.Node[0].ProtoReflect().SetUnknown(unknown)
	m := open(t, save(t, want))
	if !proto.Equal(m.Proto, want) {
		t.Error("the message read is not the one written")
	}
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(b, "")
	if err != nil {
		t.Fatal(err)
	}
	if ok, diff := Equal(m, again); !ok {
		t.Error(diff)
	}
	if !bytes.Equal(again.Proto.GetGraph().Node[0].ProtoReflect().GetUnknown(), unknown) {
		t.Error("a node's unknown field is lost")
	}
}

func TestOpset(t *testing.T) {
	p := small()
	p.OpsetImport = append(p.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String("com.test"), Version: proto.Int64(3)})
	m := New(p)
	for domain, want := range map[string]int64{"": 17, "ai.onnx": 17, "com.test": 3, "ai.onnx.ml": 0} {
		if got := m.Opset(domain); got != want {
			t.Errorf("Opset(%q) = %d, want %d", domain, got, want)
		}
	}
	old := New(&onnxpb.ModelProto{IrVersion: proto.Int64(2)})
	if got := old.Opset(""); got != 1 {
		t.Errorf("a model of IR version 2 has opset %d, want 1", got)
	}
}

// TestNamesOutliveTheModel reads every string after the map that they were decoded from
// is gone; were one still in there, the process would die.
func TestNamesOutliveTheModel(t *testing.T) {
	want := small()
	m, err := Read(save(t, want))
	if err != nil {
		t.Fatal(err)
	}
	for _, init := range m.Proto.GetGraph().Initializer {
		if len(init.RawData) == 0 && init.Int32Data == nil {
			t.Errorf("initializer %s has no data", init.GetName())
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	forget := func(p *onnxpb.ModelProto) *onnxpb.ModelProto {
		for _, init := range p.Graph.Initializer {
			init.RawData = nil
		}
		p.Graph.Node[2].Attribute[0].T.RawData = nil
		return p
	}
	if !proto.Equal(forget(m.Proto), forget(want)) {
		t.Error("the message changed when the model was closed")
	}
}

// TestParseSharesOnlyRawData scribbles over the bytes that a model was parsed from.
func TestParseSharesOnlyRawData(t *testing.T) {
	b, err := proto.Marshal(small())
	if err != nil {
		t.Fatal(err)
	}
	data := slices.Clone(b)
	m, err := Parse(data, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] = 0xee
	}
	want, err := Parse(b, "")
	if err != nil {
		t.Fatal(err)
	}
	_, diff := Equal(m, want)
	if diff != `model.graph.node[2] "weight".attribute[0] "value".t.raw_data: 960 bytes against 960 other bytes` {
		t.Errorf("first difference is %q, want the first raw_data", diff)
	}
}

func TestDerivedModelsShareTheMap(t *testing.T) {
	m, err := Read(save(t, small()))
	if err != nil {
		t.Fatal(err)
	}
	p := Shallow(m.Proto)
	p.Graph = Shallow(p.Graph)
	p.Graph.Name = proto.String("derived")
	derived := m.Derive(p)
	if derived.Path != m.Path || derived.ExternalFolder() != m.ExternalFolder() || m.Proto.GetGraph().GetName() != "small" {
		t.Error("deriving lost the path or changed the original")
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	d, err := derived.Tensor(derived.Proto.GetGraph().Initializer[0]).Dense()
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Float32s()[53]; got != 53 {
		t.Errorf("after the original is closed, a weight reads %v, want 53", got)
	}
	if err := derived.Close(); err != nil {
		t.Fatal(err)
	}
	if derived.files.own != nil {
		t.Error("the file is still mapped")
	}
}

// TestGoroutines uses one model and its children from several goroutines at once; it is
// the race detector that judges.
func TestGoroutines(t *testing.T) {
	m, err := Read(outside(t))
	if err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for range 8 {
		child := m.Derive(Shallow(m.Proto))
		group.Go(func() error {
			for range 50 {
				if _, err := m.Tensor(m.Proto.GetGraph().Initializer[0]).Dense(); err != nil {
					return err
				}
				if m.Memo(func() any { return 1 }) != 1 || child.Memo(func() any { return new(int) }) != child.Memo(nil) {
					return errors.New("what was worked out is lost")
				}
				if err := child.Check(); err != nil {
					return err
				}
			}
			return child.Close()
		})
	}
	if err := errors.Join(group.Wait(), m.Close()); err != nil {
		t.Error(err)
	}
}

func TestReadRefusesFiles(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole, err := proto.Marshal(small())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want []string
	}{
		{filepath.Join(folder, "absent.onnx"), []string{"absent.onnx", "no such file"}},
		{folder, []string{"is a folder, not a model file"}},
		{file("empty.onnx", ""), []string{"empty.onnx is empty"}},
		{file("words.onnx", "This is a sentence.\n"), []string{"words.onnx", "not an ONNX model"}},
		{file("picture.onnx", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), []string{"not an ONNX model"}},
		{file("archive.onnx", "PK\x03\x04\x14\x00\x00\x00\x08\x00"), []string{"not an ONNX model"}},
		{file("zeros.onnx", string(make([]byte, 64))), []string{"not an ONNX model"}},
		{file("unknown.onnx", "\xa2\x38\x05hello"), []string{"no graph", "not an ONNX model"}},
		{file("cut.onnx", string(whole[:len(whole)/2])), []string{"cut short", "copy or download it again"}},
		{file("extra.onnx", string(whole)+"\x0a"), []string{"cut short, or damaged at byte"}},
	} {
		m, err := Read(c.path)
		refused(t, err, c.want...)
		if m != nil {
			t.Errorf("%s: a model beside an error", c.path)
		}
	}
}

func TestReadRefusesOver2GiB(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.onnx")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(maxFile + 1); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Read(path)
	refused(t, err, "2147483648 bytes, over the 2 GiB", "external data")
}

// TestEveryPrefix cuts a model at every byte: each must be refused or, where only
// optional fields are missing, be a model.
func TestEveryPrefix(t *testing.T) {
	whole, err := proto.Marshal(small())
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for n := range whole {
		if m, err := Parse(whole[:n:n], ""); err == nil {
			accepted++
			if m.Proto.GetGraph() == nil {
				t.Errorf("the first %d bytes were accepted without a graph", n)
			}
		}
	}
	// Fields stand in the order of their numbers: only after the imports (8) is it whole.
	if accepted != 1 {
		t.Errorf("%d prefixes were accepted, want the one that lacks only the metadata", accepted)
	}
}

// closing counts how often it is closed.
type closing int

func (c *closing) Close() error { *c++; return nil }

// TestHold wants what a model holds to be closed once, with the last of the models that share it, and not with those before.
func TestHold(t *testing.T) {
	base := New(small())
	m := base.Derive(Shallow(base.Proto))
	var c closing
	m.Hold(&c)
	next := m.Derive(Shallow(m.Proto))
	for i, step := range []struct {
		m    *Model
		want closing
	}{{m, 0}, {m, 0}, {base, 0}, {next, 1}, {next, 1}} {
		if err := step.m.Close(); err != nil {
			t.Fatal(err)
		}
		if c != step.want {
			t.Errorf("closed %d times after step %d, want %d", c, i, step.want)
		}
	}
}
