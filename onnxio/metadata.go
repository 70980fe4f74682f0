package onnxio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// metadataField is the number of metadata_props in a ModelProto.
const metadataField = 14

// WithMetadata returns a model that shares everything with m but its metadata_props: those
// whose keys begin with prefix are gone, and props, whose keys get the prefix, stand sorted
// behind the others. Both models must be closed.
func WithMetadata(m *Model, prefix string, props map[string]string) *Model {
	p := Shallow(m.Proto)
	p.MetadataProps = slices.DeleteFunc(p.MetadataProps, func(e *onnxpb.StringStringEntryProto) bool {
		return strings.HasPrefix(e.GetKey(), prefix)
	})
	for _, key := range slices.Sorted(maps.Keys(props)) {
		p.MetadataProps = append(p.MetadataProps, &onnxpb.StringStringEntryProto{Key: proto.String(prefix + key), Value: proto.String(props[key])})
	}
	return m.Derive(p)
}

// ReadMetadata returns those metadata_props of the model file at path whose keys begin with
// prefix, which is cut off. It steps over all else by its length, so that it takes as long
// for a large model as for a small one, and it does not check the model.
func ReadMetadata(path, prefix string) (map[string]string, error) {
	data, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading metadata: %w", err)
	}
	props, err := metadata(data, prefix)
	if err != nil {
		err = recognised(data, err)
		_ = data.Unmap() // the error that counts is err
		return nil, fmt.Errorf("reading metadata of %s: %w", path, err)
	}
	return props, data.Unmap()
}

func metadata(data []byte, prefix string) (map[string]string, error) {
	props := map[string]string{}
	for pos := 0; pos < len(data); {
		num, wire, n := protowire.ConsumeTag(data[pos:])
		if n < 0 {
			return nil, damage(data, pos, true, n)
		}
		size := protowire.ConsumeFieldValue(num, wire, data[pos+n:])
		if size < 0 {
			return nil, damage(data, pos, true, size)
		}
		if num == metadataField && wire == protowire.BytesType {
			body, _ := protowire.ConsumeBytes(data[pos+n:])
			var e onnxpb.StringStringEntryProto
			if err := proto.Unmarshal(body, &e); err != nil {
				return nil, fmt.Errorf("metadata at byte %d: %w", pos, err)
			}
			if key, ok := strings.CutPrefix(e.GetKey(), prefix); ok {
				props[key] = e.GetValue()
			}
		}
		pos += n + size
	}
	return props, nil
}

// Digest returns the SHA-256 of the model at path in hex: that of its file, or where it has
// external data, of a list of the file and every data file, each with its own SHA-256.
func Digest(ctx context.Context, path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return "", err
	}
	own, err := fileDigest(ctx, path)
	if err != nil {
		return "", err
	}
	names, folder, err := externalNames(path)
	if err != nil || len(names) == 0 {
		return own, err
	}
	list := sha256.New()
	fmt.Fprintf(list, "%q %s\n", "", own)
	for _, name := range names {
		sum, err := fileDigest(ctx, filepath.Join(folder, filepath.FromSlash(name)))
		if err != nil {
			return "", fmt.Errorf("external data of %s: %w", path, err)
		}
		fmt.Fprintf(list, "%q %s\n", name, sum)
	}
	return hex.EncodeToString(list.Sum(nil)), nil
}

// externalNames returns the locations of a model's external data, sorted, and the folder
// that they are relative to. The model is decoded only where its file has the word that
// every reference to such data needs.
func externalNames(path string) ([]string, string, error) {
	data, err := mapFile(path)
	if err != nil {
		return nil, "", err
	}
	may := bytes.Contains(data, []byte("location"))
	if err := data.Unmap(); err != nil || !may {
		return nil, "", err
	}
	m, err := Read(path)
	if err != nil {
		return nil, "", err
	}
	m.files.mu.Lock()
	names := slices.Sorted(maps.Keys(m.files.external))
	m.files.mu.Unlock()
	return names, m.ExternalFolder(), m.Close()
}

// fileDigest is the SHA-256 of a file.
func fileDigest(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	block := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := f.Read(block)
		h.Write(block[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}
