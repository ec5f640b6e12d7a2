package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// s3 is the only service that images come from.
const s3 = "s3"

// defaultRegion is where the hosts are that don't say so.
const defaultRegion = "us-east-1"

// sign signs a request without a body, Signature Version 4.
func (a Auth) sign(r *http.Request, host string, now time.Time) error {
	region := a.Region
	if region == "" {
		region = regionOf(host)
	}
	empty := sha256.Sum256(nil)
	payload := hex.EncodeToString(empty[:])
	r.Header.Set("X-Amz-Content-Sha256", payload)
	credentials := aws.Credentials{AccessKeyID: a.AccessKeyID, SecretAccessKey: a.SecretAccessKey.Reveal()}
	err := v4.NewSigner().SignHTTP(r.Context(), credentials, r, payload, s3, region, now, func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = true // of all services only S3 wants paths as they are
	})
	if err != nil {
		return fmt.Errorf("sign the request to %s: %w", host, err)
	}
	return nil
}

// regionOf returns the region that the name of an S3 server stands for, "" if
// there is none in it. The forms of names are those of the AWS General
// Reference, "Amazon Simple Storage Service endpoints and quotas".
func regionOf(host string) string {
	name, _, _ := strings.Cut(host, ":")
	name, ok := strings.CutSuffix(strings.TrimSuffix(name, ".cn"), ".amazonaws.com")
	if !ok {
		return ""
	}
	labels := strings.Split(name, ".")
	// A bucket's name, which comes first, may look like anything.
	for i := len(labels) - 1; i >= 0; i-- {
		rest := labels[i+1:]
		if len(rest) > 0 && rest[0] == "dualstack" {
			rest = rest[1:]
		}
		region, dashed := strings.CutPrefix(labels[i], "s3-")
		switch {
		case (labels[i] == s3 || region == "fips") && len(rest) == 1:
			return rest[0]
		case (labels[i] == s3 || region == "external-1") && len(rest) == 0:
			return defaultRegion
		case dashed && len(rest) == 0 && strings.Count(region, "-") >= 2:
			return region
		}
	}
	return ""
}
