package main

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// What a configuration may have, which is far more than any has. The parser of YAML takes a time that grows with the square
// of the keys and of the depth, and its tokens come before that.
const (
	maxConfig      = 1 << 18 // bytes: thousands of names of nodes
	maxConfigKeys  = 2000
	maxConfigDepth = 4 // brackets, and dashes of lists on one line
)

// checkTokens refuses configurations that take long to parse.
func checkTokens(tokens token.Tokens) error {
	keys, depth, dashes, line := 0, 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			dashes, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.MappingValueType, token.MappingKeyType, token.AnchorType, token.AliasType, token.TagType:
			keys++
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			dashes++
		}
		if depth > maxConfigDepth || dashes > maxConfigDepth {
			return fmt.Errorf("line %d: lists and mappings lie more than %d deep in each other; want commands, below each its flags, and lists of plain values", line, maxConfigDepth)
		}
		if keys > maxConfigKeys {
			return fmt.Errorf("line %d: there are more than %d keys, anchors and tags", line, maxConfigKeys)
		}
	}
	return nil
}
