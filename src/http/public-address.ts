import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { BlockList, isIP, isIPv4, type LookupFunction } from 'node:net';

/** IPv4 that is not of the public net (IANA special-purpose registry), and multicast. */
const SPECIAL_V4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];
/** Inside 2000::/3, the only IPv6 that is public: what reaches IPv4 by another name, and examples. */
const SPECIAL_V6: readonly (readonly [string, number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

/** Networks of an organisation's own. */
const INTERNAL: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[] = [
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['fc00::', 7, 'ipv6'],
];
/** Where clouds tell a machine its credentials, outside the link-local range: Alibaba, AWS, Google, Azure. */
const METADATA_V4 = ['100.100.100.200', '168.63.129.16'];
const METADATA_V6 = ['fd00:ec2::254', 'fd20:ce::254'];

const special = new BlockList();
const global = new BlockList();
const internal = new BlockList();
const metadata = new BlockList();
for (const [net, bits] of SPECIAL_V4) special.addSubnet(net, bits, 'ipv4');
for (const [net, bits] of SPECIAL_V6) special.addSubnet(net, bits, 'ipv6');
global.addSubnet('2000::', 3, 'ipv6');
for (const [net, bits, family] of INTERNAL) internal.addSubnet(net, bits, family);
for (const address of METADATA_V4) metadata.addAddress(address, 'ipv4');
for (const address of METADATA_V6) metadata.addAddress(address, 'ipv6');

/** True for one host on the public net. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !special.check(address, 'ipv4') && !metadata.check(address, 'ipv4');
  return isIP(address) === 6 && global.check(address, 'ipv6') && !special.check(address, 'ipv6');
}

/** True for one host of an organisation's own network: private, neither of this machine nor of its link, no metadata. */
export function isInternalAddress(address: string): boolean {
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  return isIP(address) !== 0 && internal.check(address, family) && !metadata.check(address, family);
}

/** For `connect`: the addresses it will use, of which every one must be public. A host that is an address is not looked up. */
export const lookupPublic: LookupFunction = (hostname, options, done) => {
  dnsLookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error !== null) return done(error, []);
    const [first] = addresses;
    if (first === undefined || !addresses.every(({ address }) => isPublicAddress(address))) {
      return done(new Error('not a public address'), []);
    }
    return options.all === true ? done(null, addresses) : done(null, first.address, first.family);
  });
};
