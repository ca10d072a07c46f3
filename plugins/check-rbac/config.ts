/** Config of check-rbac. */
import { z } from 'zod';

const PATTERNS = 'Each is exact, `*`, a prefix `abc*` or a suffix `*abc`.';

const pattern = z
  .string()
  .min(1)
  .refine(
    (text) => !text.slice(1, -1).includes('*') && (text === '*' || !(text.startsWith('*') && text.endsWith('*'))),
    {
      message: 'a * may be the whole pattern, its first or its last character',
    },
  );
const patterns = z.array(pattern).min(1);

const accessRule = z.strictObject({
  methods: patterns
    .optional()
    .describe(`HTTP methods. Default: any. ${PATTERNS}`)
    .meta({ examples: [['GET', 'HEAD']] }),
  paths: patterns
    .optional()
    .describe(`Paths. Default: any. ${PATTERNS}`)
    .meta({ examples: [['/ratings/*', '/health']] }),
  services: patterns.optional().describe(`Requested services. Default: any. ${PATTERNS}`),
  hosts: patterns
    .optional()
    .describe(
      `Requested hosts. Default: any. ${PATTERNS} Case and a trailing dot are ignored, and so is the port unless the pattern has one: ` +
        '`*.example.com` is all names below example.com, at any port.',
    ),
  constraints: z
    .record(z.string().min(1), patterns)
    .optional()
    .describe(`Properties that the action must have, each with one of these values. ${PATTERNS}`),
});

const subject = z
  .strictObject({
    user: pattern
      .optional()
      .describe(
        'The user: exact, a prefix `abc*` or a suffix `*abc`; `*` is every caller, including one without a user.',
      )
      .meta({ examples: ['cluster.local/ns/shop/*'] }),
    group: pattern.optional().describe('A group of the caller; `*` is any group.'),
    properties: z
      .record(z.string().min(1), pattern)
      .optional()
      .describe('Properties that the caller must have, each with a matching value.'),
  })
  .refine((one) => one.user !== undefined || one.group !== undefined || Object.keys(one.properties ?? {}).length > 0, {
    message: 'expected a user, a group or properties; everybody is { user: "*" }',
  });

export const rbacConfig = z
  .strictObject({
    roles: z
      .record(z.string().min(1), z.array(accessRule).min(1))
      .describe('The rules of each role; one matching rule allows the action.'),
    bindings: z
      .array(
        z.strictObject({
          role: z.string().min(1).describe('The role that the subjects get.'),
          subjects: z
            .array(subject)
            .min(1)
            .describe(
              'The callers with this role: one matching subject is enough; everything in a subject must match.',
            ),
        }),
      )
      .describe('The subjects of each role.'),
  })
  .superRefine(({ roles, bindings }, context) => {
    const names = Object.keys(roles);
    const known = `${names.slice(0, 24).join(', ')}${names.length > 24 ? ' ...' : ''}`;
    for (const [at, { role }] of bindings.entries()) {
      if (!Object.hasOwn(roles, role)) {
        context.addIssue({
          code: 'custom',
          path: ['bindings', at, 'role'],
          message: `no role is named "${role}"; roles: ${known}`,
        });
      }
    }
  });

export type AccessRule = z.output<typeof accessRule>;
export type Subject = z.output<typeof subject>;
export type RbacConfig = z.output<typeof rbacConfig>;
