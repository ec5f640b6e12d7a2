package appc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"unicode/utf8"
)

// maxDepth bounds how deep arrays and objects of a manifest nest.
const maxDepth = 32

// decode reads exactly one JSON document of at most limit bytes into v. A name
// that occurs twice in one object is refused, since readers differ in which
// they believe.
func decode(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("larger than %d bytes", limit)
	}
	if !utf8.Valid(b) {
		return errors.New("not valid UTF-8")
	}
	if err := json.Unmarshal(b, v); err != nil {
		return describe(b, err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	return checkStructure(dec, "", 0)
}

// checkStructure reads one value and checks its depth and its field names.
func checkStructure(dec *json.Decoder, field string, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxDepth {
		return at(field, fmt.Errorf("nested deeper than %d levels", maxDepth))
	}
	if delim == '{' {
		err = checkObject(dec, field, depth)
	} else {
		err = checkArray(dec, field, depth)
	}
	if err != nil {
		return err
	}
	_, err = dec.Token() // the closing bracket
	return err
}

func checkObject(dec *json.Decoder, field string, depth int) error {
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return at(field, errors.New("a field has no name"))
		}
		path := join(field, name)
		if seen[name] {
			return at(path, errors.New("given twice"))
		}
		seen[name] = true
		if err := checkStructure(dec, path, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func checkArray(dec *json.Decoder, field string, depth int) error {
	for i := 0; dec.More(); i++ {
		if err := checkStructure(dec, index(field, i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// describe turns an error of encoding/json into one that names the place in
// the manifest rather than Go types.
func describe(b []byte, err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line, column := position(b, syntax.Offset)
		return fmt.Errorf("line %d, column %d: %w", line, column, err)
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return at(wrong.Field, fmt.Errorf("a JSON %s where %s is expected", wrong.Value, kindWord(wrong.Type)))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("ends too early")
	}
	return err
}

func position(b []byte, offset int64) (line, column int) {
	before := b[:min(max(offset-1, 0), int64(len(b)))]
	line = 1 + bytes.Count(before, []byte("\n"))
	column = len(before) - bytes.LastIndexByte(before, '\n')
	return line, column
}

func kindWord(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Uint, reflect.Uint64:
		return "a whole number from 0 on"
	default:
		return "a whole number"
	}
}
