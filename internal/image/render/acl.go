package render

import (
	"encoding/binary"
	"errors"
)

// Names of the extended attributes that hold access control lists.
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// The two forms of a list: that of the system call interface, which archives
// hold, has entries of eight bytes; that of the disk leaves out the id where
// the tag needs none.
const (
	aclVersion      = 2
	aclHeaderSize   = 4
	aclEntrySize    = 8
	aclTagSize      = 2
	aclShortSize    = 4
	aclDiskVersion  = 1
	aclTagUser      = 0x02
	aclTagGroup     = 0x08
	maxACLEntries   = 256
	errACLMalformed = "its access control list is malformed"
)

// diskACL turns a list from its form in an archive into that on a disk.
func diskACL(value string) (string, error) {
	b := []byte(value)
	entries := len(b) - aclHeaderSize
	if entries < 0 || entries%aclEntrySize != 0 || entries/aclEntrySize > maxACLEntries ||
		binary.LittleEndian.Uint32(b) != aclVersion {
		return "", errors.New(errACLMalformed)
	}
	out := binary.LittleEndian.AppendUint32(nil, aclDiskVersion)
	for e := b[aclHeaderSize:]; len(e) > 0; e = e[aclEntrySize:] {
		switch binary.LittleEndian.Uint16(e[:aclTagSize]) {
		case aclTagUser, aclTagGroup:
			out = append(out, e[:aclEntrySize]...)
		default:
			out = append(out, e[:aclShortSize]...)
		}
	}
	return string(out), nil
}
