"""A repo of the Hub: its newest commit, its history, and the files of a commit."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile


@dataclass(frozen=True)
class HubRepo:
    """A repo, and with which token it is asked.

    api        asks the Hub
    repo_id    user/name
    repo_type  "dataset", "model" or "space"
    """

    api: HfApi
    repo_id: str
    repo_type: str

    @property
    def url(self) -> str:
        return f"{self.api.endpoint}/{'' if self.repo_type == 'model' else f'{self.repo_type}s/'}{self.repo_id}"

    def find_head(self) -> str:
        """The sha of the newest commit."""
        return self.api.repo_info(self.repo_id, repo_type=self.repo_type).sha

    def list_commits(self) -> list[str]:
        """The shas of all commits, the newest first."""
        return [commit.commit_id for commit in self.api.list_repo_commits(self.repo_id, repo_type=self.repo_type)]

    def list_files(self, revision: str) -> dict[str, RepoFile]:
        """The files of a commit, by their paths."""
        tree = self.api.list_repo_tree(self.repo_id, recursive=True, revision=revision, repo_type=self.repo_type)
        return {file.path: file for file in tree if isinstance(file, RepoFile)}

    def read(self, name: str, revision: str) -> bytes:
        """A file of a commit."""
        path = self.api.hf_hub_download(self.repo_id, name, repo_type=self.repo_type, revision=revision)
        return Path(path).read_bytes()
