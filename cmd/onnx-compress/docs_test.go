package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestExitCodesDocumented: the table and the help list every exit code, and no other.
func TestExitCodesDocumented(t *testing.T) {
	table, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	help := helpOf(t, "help")
	codes := []int{exitDone, exitFailed, exitUsage, exitUnmet, exitStale, exitBound, exitDamage, exitCrashed, exitInterrupted}
	for _, code := range codes {
		if !strings.Contains(string(table), fmt.Sprintf("\n| %d | ", code)) || !strings.Contains(help, fmt.Sprintf("\n  %d  ", code)) {
			t.Errorf("exit code %d is missing in docs/exit-codes.md or in help", code)
		}
	}
	if rows := strings.Count(string(table), "\n| ") - 1; rows != len(codes) {
		t.Errorf("docs/exit-codes.md has %d codes, want %d", rows, len(codes))
	}
}

// TestDocumentedFields: docs/json.md names every field of the JSON that is made here.
func TestDocumentedFields(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	for schema, root := range map[string]any{statusSchema: statuses{}, checkSchema: checked{}, diagnosisSchema: diagnosis{}, "--require": judged{}} {
		if !strings.Contains(string(text), schema) {
			t.Errorf("docs/json.md does not name %s", schema)
		}
		var visit func(reflect.Type)
		visit = func(typ reflect.Type) {
			for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
				typ = typ.Elem()
			}
			if typ.Kind() != reflect.Struct {
				return
			}
			for f := range typ.Fields() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if name == "-" {
					continue
				}
				if name != "" && !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`"+name+"[]`") && !strings.Contains(string(text), "."+name+"`") {
					t.Errorf("docs/json.md does not name the field %q of %T", name, root)
				}
				visit(f.Type)
			}
		}
		visit(reflect.TypeOf(root))
	}
}
