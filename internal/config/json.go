package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of one file.
const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 8       // arrays and objects in each other
)

// fieldError says what is wrong with a field, and in which line it is. Nothing
// of it comes from a secret.
type fieldError struct {
	line  int
	field string // such as "domains[0]"; empty for the document
	err   error
}

func (e *fieldError) Error() string {
	if e.field == "" {
		return fmt.Sprintf("line %d: %v", e.line, e.err)
	}
	return fmt.Sprintf("line %d: %s: %v", e.line, e.field, e.err)
}

func (e *fieldError) Unwrap() error { return e.err }

// value is one JSON value and where it is.
type value struct {
	line  int
	field string
	kind  string // as errors name it

	text    string            // of a string
	items   []*value          // of an array
	members map[string]*value // of an object
}

// Kinds of values.
const (
	kindObject = "an object"
	kindArray  = "an array"
	kindText   = "a string"
)

func (v *value) errorf(format string, args ...any) error {
	return &fieldError{v.line, v.field, fmt.Errorf(format, args...)}
}

// parseJSON reads exactly one JSON document.
func parseJSON(b []byte) (*value, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	if !utf8.Valid(b) {
		return nil, errors.New("it is not valid UTF-8")
	}
	// The library's own words quote what is in the file, which may be a secret.
	var syntax *json.SyntaxError
	if err := json.Unmarshal(b, new(any)); errors.As(err, &syntax) {
		return nil, &fieldError{line: lineAt(b, syntax.Offset-1), err: errors.New("not valid JSON")}
	}
	p := jsonParser{b: b, decoder: json.NewDecoder(bytes.NewReader(b)), line: 1}
	p.decoder.UseNumber()
	return p.value("", 0)
}

func lineAt(b []byte, offset int64) int {
	return 1 + bytes.Count(b[:min(max(offset, 0), int64(len(b)))], []byte("\n"))
}

// jsonParser walks through a document that is known to be valid.
type jsonParser struct {
	b       []byte
	decoder *json.Decoder
	offset  int64 // up to which lines are counted
	line    int
}

// token returns the next one and keeps the line that it ends in.
func (p *jsonParser) token() (json.Token, error) {
	t, err := p.decoder.Token()
	end := p.decoder.InputOffset()
	p.line += bytes.Count(p.b[p.offset:end], []byte("\n"))
	p.offset = end
	return t, err
}

func (p *jsonParser) value(field string, depth int) (*value, error) {
	token, err := p.token()
	if err != nil {
		return nil, err
	}
	v := &value{line: p.line, field: field}
	switch t := token.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, v.errorf("nested deeper than %d levels", maxDepth)
		}
		return v, p.fill(v, t, depth+1)
	case string:
		v.kind, v.text = kindText, t
	case json.Number:
		v.kind = "a number"
	case bool:
		v.kind = "true or false"
	default:
		v.kind = "null"
	}
	return v, nil
}

// fill reads what an array or an object holds.
func (p *jsonParser) fill(v *value, open json.Delim, depth int) error {
	v.kind = kindArray
	if open == '{' {
		v.kind, v.members = kindObject, make(map[string]*value)
	}
	for p.decoder.More() {
		err := p.element(v, depth)
		if err != nil {
			return err
		}
	}
	_, err := p.token() // the closing bracket
	return err
}

func (p *jsonParser) element(v *value, depth int) error {
	if v.kind == kindArray {
		item, err := p.value(fmt.Sprintf("%s[%d]", v.field, len(v.items)), depth)
		v.items = append(v.items, item)
		return err
	}
	token, err := p.token()
	if err != nil {
		return err
	}
	name, _ := token.(string)
	field := strings.TrimPrefix(v.field+"."+name, ".")
	if v.members[name] != nil {
		return &fieldError{p.line, field, errors.New("given twice")}
	}
	v.members[name], err = p.value(field, depth)
	return err
}

// is checks what kind of value it is.
func (v *value) is(kind string) error {
	if v.kind != kind {
		return v.errorf("is %s, must be %s", v.kind, kind)
	}
	return nil
}

// only makes sure that it is an object with no fields but the named ones: a
// field that is misspelt must not be passed over.
func (v *value) only(names ...string) error {
	if err := v.is(kindObject); err != nil {
		return err
	}
	var unknown []*value
	for name, member := range v.members {
		if !slices.Contains(names, name) {
			unknown = append(unknown, member)
		}
	}
	if unknown == nil {
		return nil
	}
	first := slices.MinFunc(unknown, func(a, b *value) int { return strings.Compare(a.field, b.field) })
	return first.errorf("there is no such field; there are %s", strings.Join(names, ", "))
}

// member returns a field that must be there.
func (v *value) member(name, kind string) (*value, error) {
	m := v.members[name]
	if m == nil {
		return nil, &fieldError{v.line, strings.TrimPrefix(v.field+"."+name, "."), errors.New("missing")}
	}
	return m, m.is(kind)
}

// string returns a field that must be a text.
func (v *value) string(name string) (string, error) {
	m, err := v.member(name, kindText)
	if err == nil && m.text == "" {
		err = m.errorf("must not be empty")
	}
	if err != nil {
		return "", err
	}
	return m.text, nil
}

// optional returns a field that may be missing, or be empty, which means the
// same.
func (v *value) optional(name string) (string, error) {
	m := v.members[name]
	if m == nil {
		return "", nil
	}
	return m.text, m.is(kindText)
}

// texts returns the strings of an array that must have some, each of them at
// least one character long.
func (v *value) texts(name string) ([]*value, error) {
	m, err := v.member(name, kindArray)
	if err == nil && len(m.items) == 0 {
		err = m.errorf("must not be empty")
	}
	if err != nil {
		return nil, err
	}
	for _, item := range m.items {
		if err := item.is(kindText); err != nil {
			return nil, err
		}
		if item.text == "" {
			return nil, item.errorf("must not be empty")
		}
	}
	return m.items, nil
}
