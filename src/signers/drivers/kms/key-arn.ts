import { KeyError } from '../../../crypto/verify.ts';

/** arn:<partition>:kms:<region>:<account>:key/<id>; a multi-Region key's id starts with mrk-. */
const KEY_ARN = /^arn:aws[a-z-]*:kms:([a-z]{2}[a-z0-9-]{3,30}):\d{12}:key\/[A-Za-z0-9-]{1,128}$/;
const ALIAS = /(^|:)alias\//;

/**
 * The region of a full key ARN. KeyError for everything else KMS would take for a key: an alias can be pointed at another
 * key, and a bare id means whatever key the account and region of the moment have under it.
 */
export function regionOfKeyArn(keyArn: string, region?: string): string {
  if (ALIAS.test(keyArn))
    throw new KeyError(`${keyArn} is an alias, which can be pointed at another key; give the key ARN`);
  const found = KEY_ARN.exec(keyArn)?.[1];
  if (found === undefined)
    throw new KeyError(`${keyArn} is not a full key ARN (arn:aws:kms:<region>:<account>:key/<id>)`);
  if (region !== undefined && region !== found) throw new KeyError(`${keyArn} is not in region ${region}`);
  return found;
}
