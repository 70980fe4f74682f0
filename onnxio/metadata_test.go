package onnxio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// TestMetadata: entries under the prefix are replaced as a whole and read back, all others
// stay where they are.
func TestMetadata(t *testing.T) {
	p := small()
	p.MetadataProps = []*onnxpb.StringStringEntryProto{
		{Key: proto.String("our.old"), Value: proto.String("gone")},
		{Key: proto.String("author"), Value: proto.String("somebody")},
	}
	m := open(t, save(t, p))
	props := map[string]string{"b": "2", "a": "1\n\"é\"", "empty": ""}
	marked := WithMetadata(m, "our.", props)
	defer marked.Close()
	path := filepath.Join(t.TempDir(), "marked.onnx")
	if err := Write(context.Background(), marked, path, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := ReadMetadata(path, "our.")
	if err != nil || !maps.Equal(got, props) {
		t.Errorf("read back %v, %v; want %v", got, err, props)
	}
	if all, err := ReadMetadata(path, ""); err != nil || len(all) != 4 || all["author"] != "somebody" || all["our.a"] != props["a"] {
		t.Errorf("all metadata: %v, %v", all, err)
	}
	if len(m.Proto.MetadataProps) != 2 {
		t.Error("the original changed")
	}
	plain := WithMetadata(marked, "our.", nil)
	defer plain.Close()
	first := WithMetadata(m, "our.", nil)
	defer first.Close()
	if ok, diff := Equal(plain, first); !ok {
		t.Error(diff)
	}
}

func TestReadMetadataRefuses(t *testing.T) {
	folder := t.TempDir()
	for name, data := range map[string]string{"cut": "\x3a\x7fabc", "text": "hello, this is no model", "entry": "\x72\x02\x0a\x05"} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadMetadata(path, "")
		refused(t, err, "reading metadata", path)
	}
	_, err := ReadMetadata(folder, "")
	refused(t, err, "is a folder")
}

// FuzzMetadata: whatever the bytes, an answer or an error; what a real decoder reads as
// entries is what is found.
func FuzzMetadata(f *testing.F) {
	data, err := proto.Marshal(&onnxpb.ModelProto{
		ProducerName:  proto.String("p"),
		MetadataProps: []*onnxpb.StringStringEntryProto{{Key: proto.String("k"), Value: proto.String("v")}, {}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("\x72\x02\x0a\x05"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := metadata(data, "")
		var p onnxpb.ModelProto
		if proto.Unmarshal(data, &p) != nil {
			return
		}
		if err != nil {
			t.Fatalf("a model that can be decoded: %v", err)
		}
		want := map[string]string{}
		for _, e := range p.MetadataProps {
			want[e.GetKey()] = e.GetValue()
		}
		if !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// TestDigest: that of the file alone is what other programs compute; external data count.
func TestDigest(t *testing.T) {
	path := save(t, small())
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if got, err := Digest(context.Background(), path); err != nil || got != hex.EncodeToString(sum[:]) {
		t.Errorf("digest %s, %v; want the SHA-256 of the file", got, err)
	}
	far := outside(t)
	before, err := Digest(context.Background(), far)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, name := range listing(t, filepath.Dir(far)) {
		file := filepath.Join(filepath.Dir(far), name)
		if file == far {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)-1] ^= 1
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		changed++
	}
	after, err := Digest(context.Background(), far)
	if err != nil || changed == 0 || after == before {
		t.Errorf("%d data files changed; digest %s, then %s, %v", changed, before, after, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Digest(ctx, path); err != context.Canceled {
		t.Errorf("error %v, want the context's", err)
	}
	_, err = Digest(context.Background(), filepath.Dir(path))
	refused(t, err, "not a regular file")
}
