/** Every code that an expression's text can be refused with, for docs/errors.md. */
export const EXPRESSION_ERRORS = {
  EXPRESSION_SYNTAX: {
    means: 'The text is no CEL expression.',
    fix: 'Look at the marked place: a missing operand, quote or bracket.',
  },
  EXPRESSION_UNKNOWN_ATTRIBUTE: {
    means: 'A name that is no attribute.',
    fix: "Use one of docs/attributes.md or of the policy's own under `my.`; a constant text stands in quotes: `'\"audit\"'`.",
  },
  EXPRESSION_NOT_AN_ATTRIBUTE: { means: 'The name is only the beginning of attributes.', fix: 'Write the whole name.' },
  EXPRESSION_NO_FIELD: {
    means: 'A value without fields or keys is read by field or key.',
    fix: 'Only maps and lists are read so.',
  },
  EXPRESSION_UNKNOWN_FUNCTION: {
    means: 'A function that CEL or Sluice does not have.',
    fix: 'Check its name, and whether it is called as x.f() or f(x).',
  },
  EXPRESSION_NO_OVERLOAD: {
    means: 'The operator or function does not take values of these types.',
    fix: 'Convert one side: string(x), int(x), ip("..."), duration("...").',
  },
  EXPRESSION_TYPE: {
    means: 'The expression has another type than is expected at its place.',
    fix: 'The message says which type is expected.',
  },
  EXPRESSION_CONSTANT: {
    means: 'A constant pattern, address, range, time or duration is not written as it must be.',
    fix: 'Correct the constant; the message shows the form.',
  },
  EXPRESSION_OVERFLOW: {
    means: 'A constant calculation is beyond the range of its numbers, or divides by 0.',
    fix: 'Correct the calculation.',
  },
  EXPRESSION_CONTROL_CHARACTER: {
    means:
      'A text that goes out as a header or a parameter holds a line break or another control character, which would end it.',
    fix: 'Take it out; a block that begins with `|` or `>` keeps the break at its end, one with `|-` or `>-` does not.',
  },
  EXPRESSION_FAILED: {
    means: 'The expression could not be worked out for this request (`sluice eval`).',
    fix: 'The message names the part that failed; guard it with has(), [?key] or orValue().',
  },
  EXPRESSION_MAY_BE_ABSENT: {
    means: 'A key is read that a request may not have; the expression fails then.',
    fix: 'Write `map[?"key"].orValue(...)`, or guard it with `"key" in map &&`.',
  },
} as const;
