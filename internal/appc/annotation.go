package appc

import (
	"fmt"
	"net/url"
	"time"
)

// checkAnnotationValue checks the values of the annotations that the
// specification gives a form.
func checkAnnotationValue(a Annotation) error {
	switch a.Name {
	case "created":
		if _, err := time.Parse(time.RFC3339, a.Value); err != nil {
			return fmt.Errorf("%q is not a time of the form 2006-01-02T15:04:05Z", a.Value)
		}
	case "homepage", "documentation":
		u, err := url.Parse(a.Value)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%q is not an http or https URL", a.Value)
		}
	}
	return checkText(a.Value)
}
