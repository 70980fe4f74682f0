package onnxio

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// link makes a symbolic link.
func link(t testing.TB, to, at string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, at); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
}

// hub lays the small model out as the cache of a model hub does, its first weight and the one in its Constant node in
// external files, and returns the folder of the links and that of the blobs.
func hub(t testing.TB) (links, blobs string) {
	t.Helper()
	root := t.TempDir()
	links, blobs = filepath.Join(root, "snapshots", "abc", "onnx"), filepath.Join(root, "blobs")
	if err := os.Mkdir(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	p := small()
	for blob, w := range map[string]*onnxpb.TensorProto{"2222": p.Graph.Initializer[0], "3333": p.Graph.Node[2].Attribute[0].T} {
		makeExternal(t, w, blobs, blob, 0)
		w.ExternalData[0].Value = proto.String("data_" + blob)
		link(t, "../../../blobs/"+blob, filepath.Join(links, "data_"+blob))
	}
	saveAt(t, p, filepath.Join(blobs, "1111"))
	link(t, "../../../blobs/1111", filepath.Join(links, "model.onnx"))
	return links, blobs
}

func TestReadFromHub(t *testing.T) {
	links, blobs := hub(t)
	path := filepath.Join(links, "model.onnx")
	m := open(t, path)
	if ok, diff := Equal(m, New(small())); !ok {
		t.Errorf("against the inline model: %s", diff)
	}
	if m.Path != path {
		t.Errorf("Path is %s", m.Path)
	}
	// Whoever is given the bytes must find the data without following a link out of the folder.
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(b, m.ExternalFolder())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	if err := os.RemoveAll(links); err != nil {
		t.Fatal(err)
	}
	if ok, diff := Equal(again, New(small())); !ok || again.ExternalFolder() != blobs {
		t.Errorf("its bytes, in %s: %s", again.ExternalFolder(), diff)
	}
}

func TestHubDigest(t *testing.T) {
	links, blobs := hub(t)
	before, err := Digest(context.Background(), filepath.Join(links, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(blobs, "2222"), make([]byte, 216), 0o644); err != nil {
		t.Fatal(err)
	}
	after, err := Digest(context.Background(), filepath.Join(links, "model.onnx"))
	if err != nil || before == after {
		t.Errorf("the digest does not see the data behind the links: %v", err)
	}
}

// TestLinksRefused lets no link lead out of the folders that a model may read.
func TestLinksRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, links, blobs string)
		want  []string
	}{
		{"to another folder", func(t *testing.T, links, blobs string) {
			link(t, filepath.Join(t.TempDir(), "secret"), filepath.Join(links, "new"))
			target, _ := os.Readlink(filepath.Join(links, "new"))
			if err := os.WriteFile(target, make([]byte, 300), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"escapes", "it leads to", "links out of the model's folder are not followed", "cp -L"}},
		{"that leads on from the blobs", func(t *testing.T, links, blobs string) {
			secret := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(secret, make([]byte, 300), 0o644); err != nil {
				t.Fatal(err)
			}
			link(t, secret, filepath.Join(blobs, "4444"))
			link(t, "../../../blobs/4444", filepath.Join(links, "new"))
		}, []string{"it leads to", "secret", "not followed"}},
		{"to nothing", func(t *testing.T, links, blobs string) {
			link(t, "../../../blobs/5555", filepath.Join(links, "new"))
		}, []string{"it is a link to ../../../blobs/5555, which is not there"}},
		{"to a device", func(t *testing.T, links, blobs string) {
			link(t, "/dev/zero", filepath.Join(links, "new"))
		}, []string{"data_2222"}},
		{"in a model that is no link", func(t *testing.T, links, blobs string) {
			b, err := os.ReadFile(filepath.Join(links, "model.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(links, "model.onnx")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"escapes", "it leads to", "blobs"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			links, blobs := hub(t)
			c.spoil(t, links, blobs)
			if err := os.Rename(filepath.Join(links, "new"), filepath.Join(links, "data_2222")); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			path := filepath.Join(links, "model.onnx")
			_, err := Read(path)
			refused(t, err, append(c.want, path, `tensor "conv.w"`)...)
		})
	}
}

// TestLinkToModel names the file that a link leads to, where its data lies beside that alone: ONNX Runtime does not find it either.
func TestLinkToModel(t *testing.T) {
	path := outside(t)
	at := filepath.Join(t.TempDir(), "m.onnx")
	link(t, path, at)
	_, err := Read(at)
	refused(t, err, at, "the model is a link to "+path, "name that file")
}

// TestOtherFiles names what a file is that is no model.
func TestOtherFiles(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"pointer": {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n", "run `git lfs pull`"},
		"page":    {"<!DOCTYPE html><html><body>Not Found</body></html>", "a web page"},
		"archive": {"PK\x03\x04\x14\x00\x00\x00\x08\x00model.onnx", "a zip archive: unpack it first"},
		"empty":   {"", "is empty; copy or download it again"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.onnx")
			if err := os.WriteFile(path, []byte(c.data), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			refused(t, err, path, c.want)
			_, err = ReadMetadata(path, "")
			refused(t, err, path, c.want)
		})
	}
}

// TestFolderOfModel suggests a model in a folder that is named in place of one.
func TestFolderOfModel(t *testing.T) {
	path := outside(t)
	_, err := Read(filepath.Dir(path))
	refused(t, err, "is a folder, not a model file; name one in it, such as "+path)
}

// TestPointerAsData names the pointer that stands in place of external data.
func TestPointerAsData(t *testing.T) {
	path := outside(t)
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 229\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "a.bin"), []byte(pointer), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Read(path)
	refused(t, err, path, "a.bin", "run `git lfs pull`")
}
