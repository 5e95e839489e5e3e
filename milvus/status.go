package milvus

import (
	"context"
	"errors"
	"fmt"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/filter"
)

// Milvus's error codes, those of them that this server answers.
const (
	codeNotReady           = 1
	codeUnavailable        = 2
	codeDiskFull           = 7
	codeDenied             = 9
	codeNotImplemented     = 10
	codeCollectionNotFound = 100
	codeNotLoaded          = 101
	codePartitionNotFound  = 200
	codePartitionNotLoaded = 201
	codeIndexNotFound      = 700
	codeIndexDuplicate     = 702
	codeDatabaseNotFound   = 800
	codeDatabaseLimit      = 801
	codeDatabaseInvalid    = 802
	codeInvalid            = 1100
	codeMissing            = 1101
	codeTooLarge           = 1102
	codeAliasNotFound      = 1600
	codeAliasConflict      = 1601
	codeAliasExists        = 1602
	codeUnsupported        = 3000
	codeCanceled           = 10000
	codeTimeout            = 10001
	codeUnexpected         = 65535
)

// Error is an answer that is not success: a code of Milvus and a text.
type Error struct {
	Code   int32
	Legacy commonpb.ErrorCode // 0: the one that goes with Code
	Reason string
}

// Error gives the text.
func (e *Error) Error() string { return e.Reason }

func fail(code int32, format string, args ...any) *Error {
	return &Error{Code: code, Reason: fmt.Sprintf(format, args...)}
}

func errCollection(db, name string) *Error {
	return fail(codeCollectionNotFound, "collection not found[database=%s][collection=%s]", db, name)
}

func errPartition(name string) *Error {
	return fail(codePartitionNotFound, "partition not found[partition=%s]", name)
}

// succeeded is the status of a call that went well.
func succeeded() *commonpb.Status { return &commonpb.Status{} }

// status turns an error into a status that carries both the code and the one that older clients read; nil is success.
func status(err error) *commonpb.Status {
	if err == nil {
		return succeeded()
	}
	e := classify(err)
	legacy := e.Legacy
	if legacy == commonpb.ErrorCode_Success {
		legacy = legacyOf(e.Code)
	}
	s := &commonpb.Status{Code: e.Code, ErrorCode: legacy, Reason: e.Reason, Detail: e.Reason}
	if inputError(e.Code) {
		s.ExtraInfo = map[string]string{"is_input_error": "true"}
	}
	return s
}

func legacyOf(code int32) commonpb.ErrorCode {
	switch code {
	case codeCollectionNotFound:
		return commonpb.ErrorCode_CollectionNotExists
	case codeInvalid, codeMissing, codeTooLarge:
		return commonpb.ErrorCode_IllegalArgument
	case codeIndexNotFound:
		return commonpb.ErrorCode_IndexNotExist
	case codeDenied:
		return commonpb.ErrorCode_ForceDeny
	case codeDiskFull:
		return commonpb.ErrorCode_DiskQuotaExhausted
	}
	return commonpb.ErrorCode_UnexpectedError
}

func inputError(code int32) bool {
	return code >= 100 && code < 2000 || code == codeUnsupported
}

// classify finds the code of an error. The engine's own say what went wrong already.
func classify(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*filter.Error](err); ok {
		return fail(codeInvalid, "failed to create query plan: cannot parse expression: %s, error: %s", clip(e.Expr), e.Error())
	}
	code := int32(codeUnexpected)
	for _, c := range []struct {
		err  error
		code int32
	}{
		{context.Canceled, codeCanceled},
		{context.DeadlineExceeded, codeTimeout},
		{engine.ErrTooLarge, codeTooLarge},
		{engine.ErrDuplicateKey, codeInvalid},
		{engine.ErrInvalid, codeInvalid},
		{engine.ErrNotFound, codeCollectionNotFound},
		{engine.ErrClosed, codeNotReady},
		{engine.ErrReadOnly, codeDenied},
		{engine.ErrDiskFull, codeDiskFull},
		{engine.ErrPoisoned, codeUnavailable},
	} {
		if errors.Is(err, c.err) {
			code = c.code
			break
		}
	}
	return fail(code, "%s", err)
}

// clip shortens a text that is repeated in an answer.
func clip(s string) string {
	const most = 1024
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
