"""params.yaml as frozen, checked dataclasses; and where every file lives."""

from plumbline.config.load import Config, load_config
from plumbline.config.paths import Paths

__all__ = ["Config", "Paths", "load_config"]
