package onnxpb_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// descriptors prints, as JSON, the serialized FileDescriptorProto of each schema file of
// the onnx package that models and test data are made of.
const descriptors = `
import base64, json, onnx, onnx.onnx_ml_pb2, onnx.onnx_data_pb2
files = [onnx.onnx_ml_pb2, onnx.onnx_data_pb2]
print(json.dumps({
    "version": onnx.__version__,
    "files": [base64.b64encode(f.DESCRIPTOR.serialized_pb).decode() for f in files]}))
`

// TestSchema holds every message, field, oneof, enum and reserved range of the generated
// package against the descriptors that the onnx Python package carries, both ways.
func TestSchema(t *testing.T) {
	python := provisiontest.Python(t, "onnx")
	out, err := exec.Command(python, "-c", descriptors).Output()
	if err != nil {
		t.Fatal(err)
	}
	var theirs struct {
		Version string
		Files   [][]byte
	}
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, b := range theirs.Files {
		var fd descriptorpb.FileDescriptorProto
		if err := proto.Unmarshal(b, &fd); err != nil {
			t.Fatal(err)
		}
		if fd.GetPackage() != "onnx" || fd.GetSyntax() != "" && fd.GetSyntax() != "proto2" {
			t.Errorf("package %q, syntax %q", fd.GetPackage(), fd.GetSyntax())
		}
		describe(&fd, want)
	}
	got := map[string]string{}
	describe(protodesc.ToFileDescriptorProto(onnxpb.File_onnxio_onnxpb_onnx_proto), got)
	if len(want) < 200 {
		t.Fatalf("the onnx package lists %d things only", len(want))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		ours := strings.ReplaceAll(got[name], ".onnx_compress.onnx.", ".onnx.") // the package's name is no part of a file
		if ours != want[name] {
			t.Errorf("%s: ours is %q, that of onnx %s %q", name, ours, theirs.Version, want[name])
		}
		delete(got, name)
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		t.Errorf("%s: onnx %s has no such thing", name, theirs.Version)
	}
}

// describe adds a line for everything that a schema file declares.
func describe(fd *descriptorpb.FileDescriptorProto, lines map[string]string) {
	for _, e := range fd.EnumType {
		enum("onnx."+e.GetName(), e, lines)
	}
	for _, m := range fd.MessageType {
		message("onnx."+m.GetName(), m, lines)
	}
}

func message(name string, m *descriptorpb.DescriptorProto, lines map[string]string) {
	lines[name] = "message"
	for _, f := range m.Field {
		c := proto.Clone(f).(*descriptorpb.FieldDescriptorProto)
		c.JsonName = nil // derived from the name, and given by some compilers only
		if f.OneofIndex != nil {
			// Within a message, the oneof's name says more than its index.
			c.OneofIndex = nil
			lines[name+"."+f.GetName()+" oneof"] = m.OneofDecl[f.GetOneofIndex()].GetName()
		}
		lines[name+"."+f.GetName()] = text(c)
	}
	for _, r := range m.ReservedRange {
		for n := r.GetStart(); n < r.GetEnd(); n++ {
			lines[fmt.Sprintf("%s reserved %d", name, n)] = "number"
		}
	}
	for _, r := range m.ReservedName {
		lines[name+" reserved "+r] = "name"
	}
	for _, e := range m.EnumType {
		enum(name+"."+e.GetName(), e, lines)
	}
	for _, n := range m.NestedType {
		message(name+"."+n.GetName(), n, lines)
	}
}

func enum(name string, e *descriptorpb.EnumDescriptorProto, lines map[string]string) {
	lines[name] = "enum"
	for _, v := range e.Value {
		lines[name+"."+v.GetName()] = text(v)
	}
}

// text returns a descriptor as JSON.
func text(m any) string {
	b, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
