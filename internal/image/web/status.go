package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"rkt/internal/errhint"
)

// maxRetry bounds what is told of when to try again.
const maxRetry = 24 * time.Hour

// StatusError means that a server has answered with something else.
type StatusError struct {
	Code int
}

// Error names the status.
func (e *StatusError) Error() string { return fmt.Sprintf("bad HTTP status code: %d", e.Code) }

func checkStatus(r *http.Response, accept []int) error {
	if r.StatusCode == http.StatusOK && accept == nil || slices.Contains(accept, r.StatusCode) {
		return nil
	}
	err := &StatusError{Code: r.StatusCode}
	after, ok := retryAfter(r.Header.Get("Retry-After"), time.Now())
	switch {
	case ok:
		return errhint.With(err, fmt.Sprintf("the server asks to try again in %s", after))
	case r.StatusCode == http.StatusUnauthorized, r.StatusCode == http.StatusForbidden:
		return errhint.With(err, fmt.Sprintf("credentials for %s go into a configuration file of the kind auth", r.Request.URL.Host))
	}
	return err
}

// retryAfter reads the header Retry-After: seconds or a date, RFC 9110, 10.2.3.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	var after time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		after = date.Sub(now).Round(time.Second)
	}
	if after <= 0 {
		return 0, false
	}
	return min(after, maxRetry), true
}
