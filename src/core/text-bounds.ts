/**
 * The longest texts of an answer, in UTF-16 units. What a client or an operator gets is cut and does not fail, since a failure may
 * allow the call. What an upstream or the proxy gets (requests, metadata) is not cut, since a part of a name or a token may be another
 * one; it fails, which undoes the changes of its rule. docs/rules.md has these numbers; a test compares them.
 */
/** As long as the largest body that a proxy buffers by default, and as one evaluation may build. */
export const MAX_BODY = 1_048_576;
/** Of one value; most clients refuse a head that is longer. */
export const MAX_HEADER = 16_384;
/**
 * Of all headers, query parameters and metadata of one answer, in octets of names and values. Envoy refuses heads of more than 60 KiB by
 * default, its own and the client's headers included; over HTTP the answer has all of these in one head.
 */
export const MAX_HEAD = 49_152;
/**
 * Of all headers, query parameters and metadata of one answer. Envoy takes 100 headers of an answer by default, those of HTTP and of Sluice
 * included; with more it has no answer, and its failure mode may let a call pass that is denied.
 */
export const MAX_HEADERS = 80;
/** Of a handler's reason or error: in verdicts, in the log, and as `out.reason`. */
export const MAX_REASON = 4096;
