package appc

import (
	"errors"
	"fmt"
)

// fieldError is an error with the place in the manifest where it is.
type fieldError struct {
	path string
	err  error
}

func (e *fieldError) Error() string { return e.path + ": " + e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// at says that err is in field. Errors that say so already are in a part of
// it. A nil err stays nil.
func at(field string, err error) error {
	if err == nil || field == "" {
		return err
	}
	var inner *fieldError
	if errors.As(err, &inner) {
		return &fieldError{path: join(field, inner.path), err: inner.err}
	}
	return &fieldError{path: field, err: err}
}

func join(field, part string) string {
	if field == "" {
		return part
	}
	return field + "." + part
}

func index(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// first returns the first of errs that is not nil.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// each checks all elements of a list.
func each[T any](field string, list []T, check func(T) error) error {
	for i, element := range list {
		if err := check(element); err != nil {
			return at(index(field, i), err)
		}
	}
	return nil
}

// unique checks that no two elements of a list have one key.
func unique[T any](field string, list []T, key func(T) string) error {
	seen := make(map[string]bool, len(list))
	for i, element := range list {
		k := key(element)
		if seen[k] {
			return at(index(field, i), fmt.Errorf("the name %q is there twice", k))
		}
		seen[k] = true
	}
	return nil
}
