"""Scans in shards that lie in a store: one request a scan, for its bytes alone, which are then kept as copies are."""

from umbrella.files.contained_files import find_elsewhere, show_address
from umbrella.files.remote.copies import ScanCopies
from umbrella.files.shards.index import Member, ShardError, check_digest


class MemberCopies(ScanCopies):
    """Members of shards, as objects of their own under the addresses that `name_member` makes up.

    Args:
        whole: what reads the store's objects; its connections, copies and bounds are shared.
    """

    def __init__(self, whole: ScanCopies) -> None:
        self.store, self.copies, self.table, self.start = whole.store, whole.copies, whole.table, whole.start
        self._reset()

    def identify(self, url: str) -> tuple:
        """The address tells it: it holds the digest."""
        return (url,)

    def _fetch(self, url: str, key: str) -> bytes:
        shard, _, place = url.rpartition("/")
        offset, size, digest = map(int, place.split("-"))
        content = self.store.read_range(shard, offset, offset + size) if size else b""
        check_digest(content, Member(0, offset, size, digest), shard)
        self.copies.write(key, content)
        return content


def name_member(shard: str, member: Member) -> str:
    """ "s3://bucket/scans-00000.tar", a member → "s3://bucket/scans-00000.tar/OFFSET-SIZE-DIGEST"."""
    return f"{shard}/{member.offset}-{member.size}-{member.digest}"


def find_copies(folder: str) -> ScanCopies:
    """What reads a store's objects in this process. Raises ShardError where no address is allowed."""
    copies = find_elsewhere()
    if not isinstance(copies, ScanCopies):
        shown = show_address(folder)
        raise ShardError(
            f"--scan_shards {shown}: expected a folder on this machine, found an address: allow it by --remote_roots "
            f"{shown}"
        )
    return copies
