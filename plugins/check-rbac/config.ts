/** What an operator writes about roles. */
import { z } from 'zod';

const PATTERNS = 'Each exact, `*`, a beginning `abc*` or an end `*abc`.';

const pattern = z
  .string()
  .min(1)
  .refine(
    (text) => !text.slice(1, -1).includes('*') && (text === '*' || !(text.startsWith('*') && text.endsWith('*'))),
    {
      message: 'a * may stand alone, at the beginning or at the end',
    },
  );
const patterns = z.array(pattern).min(1);

export const accessRule = z.strictObject({
  methods: patterns
    .optional()
    .describe(`HTTP methods; any where absent. ${PATTERNS}`)
    .meta({ examples: [['GET', 'HEAD']] }),
  paths: patterns
    .optional()
    .describe(`Paths; any where absent. ${PATTERNS}`)
    .meta({ examples: [['/ratings/*', '/health']] }),
  services: patterns.optional().describe(`Services asked; any where absent. ${PATTERNS}`),
  hosts: patterns
    .optional()
    .describe(
      `Hosts asked; any where absent. ${PATTERNS} Case and a final dot do not count, a port only where one is written: \`*.example.com\` is all names below example.com, at any port.`,
    ),
  constraints: z
    .record(z.string().min(1), patterns)
    .optional()
    .describe(`Properties of the action: each named one must be there with one of its values. ${PATTERNS}`),
});

export const subject = z
  .strictObject({
    user: pattern
      .optional()
      .describe('Who asks: exact, a beginning `abc*` or an end `*abc`; `*` is everybody, also one without a name.')
      .meta({ examples: ['cluster.local/ns/shop/*'] }),
    group: pattern.optional().describe('A group that who asks is in; `*` is any group.'),
    properties: z
      .record(z.string().min(1), pattern)
      .optional()
      .describe('Properties of who asks: each named one must be there and fit.'),
  })
  .refine((one) => one.user !== undefined || one.group !== undefined || Object.keys(one.properties ?? {}).length > 0, {
    message: 'expected a user, a group or properties; everybody is { user: "*" }',
  });

export const rbacConfig = z
  .strictObject({
    roles: z
      .record(z.string().min(1), z.array(accessRule).min(1))
      .describe('For each role, what it may do: one rule that fits is enough.'),
    bindings: z
      .array(
        z.strictObject({
          role: z.string().min(1).describe('The role that is given.'),
          subjects: z
            .array(subject)
            .min(1)
            .describe('Who has it: one that fits is enough; all that a subject names must fit.'),
        }),
      )
      .describe('Who has which role.'),
  })
  .superRefine(({ roles, bindings }, context) => {
    for (const [at, { role }] of bindings.entries()) {
      if (!Object.hasOwn(roles, role)) {
        context.addIssue({
          code: 'custom',
          path: ['bindings', at, 'role'],
          message: `no role is named "${role}"; roles: ${Object.keys(roles).join(', ')}`,
        });
      }
    }
  });

export type AccessRule = z.output<typeof accessRule>;
export type Subject = z.output<typeof subject>;
export type RbacConfig = z.output<typeof rbacConfig>;
