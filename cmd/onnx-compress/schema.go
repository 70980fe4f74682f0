package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// schemaID names the schema of configurations. It stands in docs/.
const schemaID = "https://github.com/onnx-compress/onnx-compress/raw/main/docs/onnx-compress.schema.json"

// configurable lists the commands that a configuration can be for.
func configurable() []*cobra.Command {
	return slices.DeleteFunc(inOrder(newRoot(streams{})), func(c *cobra.Command) bool { return c.Flags().Lookup("print-config") == nil })
}

// object is a JSON object with its keys sorted.
type object = map[string]any

// configSchema is the JSON Schema of configurations, made from the declared flags.
func configSchema() ([]byte, error) {
	properties := object{}
	for _, c := range configurable() {
		flags := object{}
		for _, flag := range settable(c.Flags()) {
			flags[flag.Name] = flagSchema(flag)
		}
		properties[c.Name()] = object{
			"type": []string{"object", "null"}, "additionalProperties": false, "properties": flags,
			"description": "flags of onnx-compress " + c.Name(),
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schemaID,
		"title": configName, "description": "Flags of onnx-compress, by command.",
		"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties,
	})
	return b.Bytes(), err
}

// flagSchema says what a flag can be set to.
func flagSchema(flag *pflag.Flag) object {
	words := []string{"string", "number"} // such as crop: 224
	out := object{}
	_, list := flag.Value.(pflag.SliceValue)
	switch typ := flag.Value.Type(); {
	case list:
		out["type"] = append(words, "array")
		out["items"] = object{"type": words}
		out["minItems"] = 1
	case typ == "bool":
		out["type"] = "boolean"
	case typ == "int":
		out["type"] = "integer"
	case typ == "uint64":
		out["type"], out["minimum"] = "integer", 0
	case typ == "float64":
		out["type"] = "number"
	case flag.NoOptDefVal != "":
		out["type"] = []string{"string", "boolean"}
	default:
		out["type"] = words
	}
	out["description"] = summary(flag)
	return out
}

// checkSchemaOf holds a configuration against the schema.
func checkSchemaOf(doc any) error {
	data, err := configSchema()
	if err != nil {
		return err
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaID, parsed); err != nil {
		return err
	}
	schema, err := c.Compile(schemaID)
	if err != nil {
		return err
	}
	err = schema.Validate(doc)
	if fault := (*jsonschema.ValidationError)(nil); errors.As(err, &fault) {
		return faultWords(fault)
	}
	return err
}

// faultWords says what the deepest cause of a fault is, and where.
func faultWords(fault *jsonschema.ValidationError) error {
	for len(fault.Causes) > 0 {
		fault = fault.Causes[0]
	}
	where := strings.Join(fault.InstanceLocation, ": ")
	if k, ok := fault.ErrorKind.(*kind.Type); ok {
		return fmt.Errorf("%s: it is a %s; want a %s", where, k.Got, strings.Join(k.Want, " or a "))
	}
	return fmt.Errorf("%s: %s", where, fault.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
}
