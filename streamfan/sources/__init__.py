"""The sources that come with streamfan; each module registers the way a plugin's does."""
