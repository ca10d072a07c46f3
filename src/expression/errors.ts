/** The codes of problems and failures of expressions, for docs/errors.md. */
export const EXPRESSION_ERRORS = {
  EXPRESSION_SYNTAX: {
    means: 'The text is not a CEL expression.',
    fix: 'Look at the marked place: a missing operand, quote or bracket.',
  },
  EXPRESSION_UNKNOWN_ATTRIBUTE: {
    means: 'The name is not an attribute.',
    fix: "Use one of docs/attributes.md or of the policy's own under `my.`; a constant text is written in quotes: `'\"audit\"'`.",
  },
  EXPRESSION_NOT_AN_ATTRIBUTE: {
    means: 'The name is only the beginning of the names of attributes.',
    fix: 'Write the whole name.',
  },
  EXPRESSION_NO_FIELD: {
    means: 'A value without fields or keys is read by field or key.',
    fix: 'Only maps and lists have fields and keys.',
  },
  EXPRESSION_UNKNOWN_FUNCTION: {
    means: 'There is no such function in CEL or Sluice.',
    fix: 'Check its name, and whether it is called as x.f() or f(x).',
  },
  EXPRESSION_NO_OVERLOAD: {
    means: 'The operator or function does not take values of these types.',
    fix: 'Convert one side: string(x), int(x), ip("..."), duration("...").',
  },
  EXPRESSION_TYPE: {
    means: 'The expression has another type than its place expects.',
    fix: 'Convert it to the type that the message names.',
  },
  EXPRESSION_CONSTANT: {
    means: 'A constant pattern, address, range, time or duration is malformed.',
    fix: 'Correct the constant; the message shows the form.',
  },
  EXPRESSION_OVERFLOW: {
    means: 'A constant calculation overflows its type or divides by 0.',
    fix: 'Correct the calculation.',
  },
  EXPRESSION_CONTROL_CHARACTER: {
    means:
      'The text of a header or a parameter has a line break or another control character, which would end the header.',
    fix: 'Remove it; a block that begins with `|` or `>` keeps the break at its end, one with `|-` or `>-` does not.',
  },
  EXPRESSION_TEXT_TOO_LONG: {
    means: 'The body or the header of an answer is longer than what is sent of it.',
    fix: 'Shorten it, or redirect to a page that has it; docs/rules.md has the bounds.',
  },
  EXPRESSION_FAILED: {
    means: 'The evaluation failed for this request (`sluice eval`).',
    fix: 'The message names the part that failed; guard it with has(), [?key] or orValue().',
  },
  EXPRESSION_MAY_BE_ABSENT: {
    means: 'The expression reads an attribute or a key that a request may lack, and fails then.',
    fix: 'Write `map[?"key"].orValue(...)`, or guard it with `"key" in map &&`.',
  },
  EXPRESSION_NOT_REPLACED: {
    means:
      'A warning: a text seems to name a value, but not by `${...}`: `$request.path}`, `{request.path}`, `$(request.path)`, an operator of Envoy such as `%REQ(:path)%`, the name alone, or `${...}` in a string of an expression, in `params`, or in the config of a handler. It is sent as it stands.',
    fix: 'Write `${request.path}` in a text, the name alone in an expression, and `{ $env: NAME }` in a config; give values of a call to a handler by `input`.',
  },
  EXPRESSION_PATTERN_FIRST: {
    means:
      "A warning: a constant text is tested by a pattern that the call gives. In Mixer's language the pattern stands first; here it is the argument.",
    fix: 'Write `request.url_path.matches("^/a")`.',
  },
} as const;
